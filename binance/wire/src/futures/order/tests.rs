//! Frames written field by field from the venue's futures pages, not by an encoder of ours.

use super::*;

const NEW: &str = r#"{"e":"ORDER_TRADE_UPDATE","E":1568879465651,"T":1568879465650,"o":{"s":"BTCUSDT","c":"gw-1",
    "S":"SELL","o":"LIMIT","f":"GTC","q":"0.001","p":"90000","ap":"0","sp":"0","x":"NEW","X":"NEW","i":8886774,"l":"0",
    "z":"0","L":"0","N":"USDT","n":"0","T":1568879465650,"t":0,"b":"0","a":"9.91","m":false,"R":false,
    "wt":"CONTRACT_PRICE","ot":"LIMIT","ps":"BOTH","cp":false,"pP":false,"si":0,"ss":0,"rp":"0","V":"EXPIRE_MAKER",
    "pm":"NONE","gtd":0,"er":"0"}}"#;

fn changed(changes: &[(&str, &str)]) -> OrderReport {
    let mut text = NEW.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    order_update(&text).unwrap()
}

#[test]
fn a_new_order() {
    let expected = OrderReport {
        symbol: Symbol::new("btcusdt"),
        venue_id: 8_886_774,
        conditional_id: None,
        client_id: ClientOrderId::foreign("gw-1"),
        previous_id: None,
        side: Side::Sell,
        order_type: Some(OrderType::Limit),
        tif: Some(Tif::Gtc),
        price: Price::whole(90_000),
        stop: Price::ZERO,
        instructions: Instructions::default(),
        qty: "0.001".parse().unwrap(),
        filled: Qty::ZERO,
        status: VenueStatus::New,
        reason: None,
        time: Time::from_millis(1_568_879_465_650),
        fill: None,
        forced: None,
    };
    assert_eq!(changed(&[]), expected);
}

#[test]
fn a_fill_carries_its_fee_and_what_it_realised() {
    let filled = changed(&[
        ("\"x\":\"NEW\"", "\"x\":\"TRADE\""),
        ("\"X\":\"NEW\"", "\"X\":\"FILLED\""),
        ("\"l\":\"0\"", "\"l\":\"0.001\""),
        ("\"z\":\"0\"", "\"z\":\"0.001\""),
        ("\"L\":\"0\"", "\"L\":\"90000.1\""),
        ("\"ap\":\"0\"", "\"ap\":\"90000.123456789012345\""),
        ("\"n\":\"0\"", "\"n\":\"0.036\""),
        ("\"t\":0", "\"t\":77"),
        ("\"rp\":\"0\"", "\"rp\":\"-1.25\""),
        ("\"m\":false", "\"m\":true"),
    ]);
    let fill = filled.fill.unwrap();
    assert_eq!((fill.trade_id, fill.maker), (77, true));
    assert_eq!((fill.price, fill.quote), ("90000.1".parse().unwrap(), "90.0001".parse().unwrap()));
    assert_eq!((fill.fee, fill.fee_asset), ("0.036".parse().unwrap(), Some(Asset::new("USDT"))));
    assert_eq!(fill.realised, Some("-1.25".parse().unwrap()));
    assert_eq!((filled.status, filled.filled), (VenueStatus::Filled, "0.001".parse().unwrap()));
}

#[test]
fn post_only_good_till_and_reduce_only_are_told_in_our_words() {
    let report = changed(&[("\"f\":\"GTC\"", "\"f\":\"GTX\""), ("\"R\":false", "\"R\":true")]);
    assert_eq!((report.order_type, report.tif), (Some(OrderType::LimitMaker), None));
    assert!(report.instructions.reduce_only);
    let report = changed(&[("\"f\":\"GTC\"", "\"f\":\"GTD\""), ("\"gtd\":0", "\"gtd\":1700000000000")]);
    assert_eq!(report.tif, Some(Tif::Gtd));
    assert_eq!(report.instructions.good_till, Some(Time::from_millis(1_700_000_000_000)));
}

#[test]
fn r44_an_order_of_the_venue_itself_says_why() {
    for (name, forced) in [
        ("autoclose-1", Some(Forced::Liquidation)),
        ("adl_autoclose", Some(Forced::Adl)),
        ("settlement_autoclose-7", Some(Forced::Settlement)),
        ("delivery_autoclose-7", Some(Forced::Settlement)),
        ("gw-1", None),
    ] {
        let report =
            changed(&[("\"gw-1\"", &format!("\"{name}\"")), ("\"x\":\"NEW\"", "\"x\":\"CALCULATED\"")]);
        assert_eq!(report.forced, forced, "{name}");
        assert_eq!(report.fill, None);
    }
}

#[test]
fn r43_what_is_new_is_told_from_what_is_broken() {
    let unknown = NEW.replacen("\"X\":\"NEW\"", "\"X\":\"MELTED\"", 1);
    assert!(order_update(&unknown).unwrap_err().to_string().contains("MELTED"));
    let typed = changed(&[("\"o\":\"LIMIT\"", "\"o\":\"LIQUIDATION\"")]);
    assert_eq!(typed.order_type, None);
    // Commission is absent when there is none.
    changed(&[("\"N\":\"USDT\",\"n\":\"0\",", "")]);
}

const ALGO: &str = r#"{"e":"ALGO_UPDATE","T":1750515742297,"E":1750515742303,"o":{"caid":"gw-2","aid":2148627,
    "at":"CONDITIONAL","o":"STOP_MARKET","s":"BNBUSDT","S":"SELL","ps":"BOTH","f":"GTC","q":"0.01","X":"NEW","ai":"",
    "ap":"","aq":"","act":"","tp":"750","p":"0","V":"EXPIRE_MAKER","wt":"MARK_PRICE","pm":"NONE","cp":false,"pP":false,
    "R":true,"tt":0,"gtd":0,"rm":""}}"#;

#[test]
fn a_conditional_order_from_its_place_to_its_child() {
    let report = conditional_update(ALGO).unwrap();
    assert_eq!((report.conditional_id, report.venue_id), (Some(2_148_627), 0));
    assert_eq!((report.order_type, report.stop), (Some(OrderType::StopLoss), Price::whole(750)));
    assert_eq!(report.instructions.working_type, Some(WorkingType::Mark));
    assert!(report.instructions.reduce_only);
    let rows: &[(&str, &str, u64, VenueStatus)] = &[
        ("TRIGGERING", "\"\"", 0, VenueStatus::New),
        ("TRIGGERED", "\"8886775\"", 8_886_775, VenueStatus::New),
        // How the triggered order ended is told by its own reports.
        ("FINISHED", "\"8886775\"", 8_886_775, VenueStatus::New),
        ("FINISHED", "8886775", 8_886_775, VenueStatus::New),
        ("CANCELED", "\"\"", 0, VenueStatus::Canceled),
        ("EXPIRED", "\"\"", 0, VenueStatus::Expired),
    ];
    for (word, child, venue_id, status) in rows {
        let text = ALGO
            .replace("\"X\":\"NEW\"", &format!("\"X\":\"{word}\""))
            .replace("\"ai\":\"\"", &format!("\"ai\":{child}"));
        let report = conditional_update(&text).unwrap();
        assert_eq!((report.venue_id, report.status), (*venue_id, *status), "{word}");
    }
    let refused = ALGO
        .replace("\"X\":\"NEW\"", "\"X\":\"REJECTED\"")
        .replace("\"rm\":\"\"", "\"rm\":\"Margin is insufficient.\"");
    let report = conditional_update(&refused).unwrap();
    assert_eq!(
        (report.status, report.reason.as_deref()),
        (VenueStatus::Rejected, Some("Margin is insufficient."))
    );
}

#[test]
fn an_average_is_not_read_whatever_it_says() {
    assert_eq!(changed(&[(r#""ap":"0""#, r#""ap":"0.aéééééé""#)]), changed(&[]));
}

#[test]
fn replies_without_an_average_and_answers_with_one() {
    let placed = r#"{"clientOrderId":"gw-1","cumQty":"0","executedQty":"0","orderId":22542179,"origQty":"10","price":"0.2",
        "reduceOnly":false,"side":"BUY","positionSide":"BOTH","status":"NEW","stopPrice":"0","closePosition":false,
        "symbol":"DOGEUSDT","timeInForce":"GTX","type":"LIMIT","origType":"LIMIT","updateTime":1566818724722,
        "workingType":"CONTRACT_PRICE","priceProtect":false,"priceMatch":"NONE","selfTradePreventionMode":"EXPIRE_TAKER",
        "goodTillDate":0}"#;
    let report = order(placed).unwrap();
    assert_eq!((report.venue_id, report.conditional_id), (22_542_179, None));
    assert_eq!((report.order_type, report.price), (Some(OrderType::LimitMaker), "0.2".parse().unwrap()));
    let queried =
        placed.replace("\"cumQty\":\"0\"", "\"avgPrice\":\"0.19999123456789\",\"cumQuote\":\"1.99\"");
    assert!(order(&queried).is_ok());
    assert_eq!(orders(&format!("[{placed},{queried}]")).unwrap().len(), 2);
}

#[test]
fn a_conditional_order_in_replies_and_answers() {
    let placed = r#"{"algoId":2146760,"clientAlgoId":"gw-3","algoType":"CONDITIONAL","orderType":"TRAILING_STOP_MARKET",
        "symbol":"BNBUSDT","side":"SELL","positionSide":"BOTH","timeInForce":"GTC","quantity":"0.01","algoStatus":"NEW",
        "triggerPrice":"","price":"","icebergQuantity":null,"selfTradePreventionMode":"EXPIRE_MAKER",
        "workingType":"CONTRACT_PRICE","priceMatch":"NONE","closePosition":false,"priceProtect":false,"reduceOnly":false,
        "activatePrice":"760.5","callbackRate":"1.5","createTime":1750485492076,"updateTime":1750485492077,
        "triggerTime":0,"goodTillDate":0}"#;
    let report = order(placed).unwrap();
    assert_eq!(
        (report.conditional_id, report.venue_id, report.qty),
        (Some(2_146_760), 0, "0.01".parse().unwrap())
    );
    assert_eq!(report.instructions.callback_rate, Some("1.5".parse().unwrap()));
    assert_eq!(report.instructions.activation_price, Some("760.5".parse().unwrap()));
    let triggered = placed.replace(
        "\"algoStatus\":\"NEW\"",
        "\"algoStatus\":\"FINISHED\",\"actualOrderId\":\"88\",\"actualPrice\":\"760\",\"actualQty\":\"0.01\",\"actualType\":\"MARKET\",\"tpOrderType\":\"\"",
    );
    let report = order(&triggered).unwrap();
    assert_eq!((report.venue_id, report.status), (88, VenueStatus::New));
    assert!(order(r#"{"algoId":1,"clientAlgoId":"x","code":"200","msg":"success"}"#).is_err());
}

#[test]
fn own_trades_tell_what_the_events_tell() {
    let rows = r#"[{"buyer":false,"commission":"-0.07819010","commissionAsset":"USDT","id":698759,"maker":false,
        "orderId":25851813,"price":"7819.01","qty":"0.002","quoteQty":"15.63802","realizedPnl":"-0.91539999","side":"SELL",
        "positionSide":"BOTH","symbol":"BTCUSDT","pair":"BTCUSDT","baseQty":"0","marginAsset":"USDT",
        "time":1569514978020}]"#;
    let fills = trades(rows).unwrap();
    let fill = &fills[0];
    assert_eq!((fill.trade_id, fill.venue_id, fill.side), (698_759, 25_851_813, Side::Sell));
    assert_eq!((fill.quote, fill.fee), ("15.63802".parse().unwrap(), "-0.0781901".parse().unwrap()));
    assert_eq!(fill.realised, Some("-0.91539999".parse().unwrap()));
    let absurd = rows
        .replace(r#""price":"7819.01""#, r#""price":"999999999999999""#)
        .replace(r#""qty":"0.002""#, r#""qty":"1.1""#);
    assert_ne!(absurd, rows);
    assert!(trades(&absurd).unwrap_err().to_string().contains("worth over 10^15"));
}
