//! Frames written field by field from user-data-stream.md and web-socket-api.md (2026-07-21).

use tradingsys::venue::port::VenueStatus;

use super::*;

/// The documentation's example, one field a line, with the keys a test changes.
fn execution(changes: &[(&str, &str)]) -> String {
    let mut fields: Vec<(&str, &str)> = vec![
        ("e", r#""executionReport""#),
        ("E", "1499405658658"),
        ("s", r#""ETHBTC""#),
        ("c", r#""mUvoqJxFIILMdfAW5iGSOW""#),
        ("S", r#""BUY""#),
        ("o", r#""LIMIT""#),
        ("f", r#""GTC""#),
        ("q", r#""1.00000000""#),
        ("p", r#""0.10264410""#),
        ("P", r#""0.00000000""#),
        ("F", r#""0.00000000""#),
        ("g", "-1"),
        ("C", r#""""#),
        ("x", r#""NEW""#),
        ("X", r#""NEW""#),
        ("r", r#""NONE""#),
        ("i", "4293153"),
        ("l", r#""0.00000000""#),
        ("z", r#""0.00000000""#),
        ("L", r#""0.00000000""#),
        ("n", r#""0""#),
        ("N", "null"),
        ("T", "1499405658657"),
        ("t", "-1"),
        ("I", "8641984"),
        ("w", "true"),
        ("m", "false"),
        ("M", "false"),
        ("O", "1499405658657"),
        ("Z", r#""0.00000000""#),
        ("Y", r#""0.00000000""#),
        ("Q", r#""0.00000000""#),
        ("W", "1499405658657"),
        ("V", r#""NONE""#),
    ];
    for (key, value) in changes {
        match fields.iter_mut().find(|(name, _)| name == key) {
            Some(field) => field.1 = value,
            None => fields.push((key, value)),
        }
    }
    let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn report(changes: &[(&str, &str)]) -> OrderReport {
    match private_event(&execution(changes)).unwrap() {
        PrivateEvent::Report(report) => *report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_order() {
    let expected = OrderReport {
        symbol: Symbol::new("ethbtc"),
        venue_id: 4_293_153,
        conditional_id: None,
        client_id: ClientOrderId::foreign("mUvoqJxFIILMdfAW5iGSOW"),
        previous_id: None,
        side: Side::Buy,
        order_type: Some(OrderType::Limit),
        tif: Some(Tif::Gtc),
        price: "0.1026441".parse().unwrap(),
        stop: Price::ZERO,
        instructions: Instructions::default(),
        qty: Qty::whole(1),
        filled: Qty::ZERO,
        status: VenueStatus::New,
        reason: None,
        time: Time::from_millis(1_499_405_658_657),
        fill: None,
        forced: None,
    };
    assert_eq!(report(&[]), expected);
}

#[test]
fn r10_a_fill_carries_its_fee_and_its_place() {
    let report = report(&[
        ("x", r#""TRADE""#),
        ("X", r#""PARTIALLY_FILLED""#),
        ("l", r#""0.40000000""#),
        ("z", r#""0.60000000""#),
        ("L", r#""0.10264400""#),
        ("n", r#""0.00001000""#),
        ("N", r#""BNB""#),
        ("t", "77"),
        ("m", "true"),
        ("Z", r#""0.06158640""#),
        ("Y", r#""0.04105760""#),
    ]);
    assert_eq!((report.filled, report.status), ("0.6".parse().unwrap(), VenueStatus::PartiallyFilled));
    let expected = Fill {
        symbol: Symbol::new("ethbtc"),
        trade_id: 77,
        venue_id: 4_293_153,
        side: Side::Buy,
        price: "0.102644".parse().unwrap(),
        qty: "0.4".parse().unwrap(),
        quote: "0.0410576".parse().unwrap(),
        realised: None,
        fee: "0.00001".parse().unwrap(),
        fee_asset: Some(Asset::new("BNB")),
        maker: true,
        time: Time::from_millis(1_499_405_658_657),
    };
    assert_eq!(report.fill, Some(expected));
}

#[test]
fn r21_a_cancel_names_the_order_in_capital_c() {
    let report = report(&[
        ("x", r#""CANCELED""#),
        ("X", r#""CANCELED""#),
        ("c", r#""the-cancel""#),
        ("C", r#""the-order""#),
    ]);
    assert_eq!(report.client_id.as_str(), "the-cancel");
    assert_eq!(report.previous_id.unwrap().as_str(), "the-order");
    assert_eq!((report.status, report.fill), (VenueStatus::Canceled, None));
}

#[test]
fn ends_say_why() {
    let rejected =
        report(&[("X", r#""REJECTED""#), ("x", r#""REJECTED""#), ("r", r#""INSUFFICIENT_BALANCES""#)]);
    assert_eq!(
        (rejected.status, rejected.reason.as_deref()),
        (VenueStatus::Rejected, Some("INSUFFICIENT_BALANCES"))
    );
    let expired =
        report(&[("X", r#""EXPIRED""#), ("x", r#""EXPIRED""#), ("eR", r#""UNFILLED_IOC_QUANTITY_EXPIRED""#)]);
    assert_eq!(expired.reason.as_deref(), Some("UNFILLED_IOC_QUANTITY_EXPIRED"));
    let prevented = report(&[
        ("x", r#""TRADE_PREVENTION""#),
        ("X", r#""EXPIRED_IN_MATCH""#),
        ("V", r#""EXPIRE_TAKER""#),
        ("v", "3"),
        ("A", r#""1""#),
    ]);
    assert_eq!((prevented.status, prevented.fill), (VenueStatus::ExpiredInMatch, None));
    assert_eq!(report(&[("X", r#""PENDING_NEW""#)]).status, VenueStatus::New);
}

#[test]
fn r43_what_is_new_is_told_from_what_is_broken() {
    let future = report(&[("o", r#""LIMIT_OF_2030""#), ("f", r#""GTX""#), ("zz", r#"{"a":[1,null]}"#)]);
    assert_eq!((future.order_type, future.tif), (None, None));
    for broken in [
        ("X", r#""HALF_FILLED""#),
        ("S", r#""HOLD""#),
        ("q", "1.5"),
        ("z", r#""1e3""#),
        ("i", r#""4293153""#),
        ("x", r#""TRADE""#),
    ] {
        assert!(private_event(&execution(&[broken])).is_err(), "{broken:?}");
    }
    assert_eq!(private_event(r#"{"e":"listStatus","O":[]}"#), Ok(PrivateEvent::Other));
    assert_eq!(private_event(r#"{"e":"somethingNew"}"#), Ok(PrivateEvent::Other));
    assert_eq!(
        private_event(r#"{"e":"externalLockUpdate","E":1,"a":"NEO","d":"1","T":2}"#),
        Ok(PrivateEvent::Other)
    );
    assert!(private_event("{}").is_err());
}

#[test]
fn balances_transfers_and_ends() {
    let position = r#"{"e":"outboundAccountPosition","E":1564034571105,"u":1564034571073,
        "B":[{"a":"ETH","f":"10000.000000","l":"0.5"},{"a":"BTC","f":"0","l":"0"}]}"#;
    let eth = Balance::new(Asset::new("ETH"), Cash::whole(10_000), "0.5".parse().unwrap());
    let btc = Balance::new(Asset::new("BTC"), Cash::ZERO, Cash::ZERO);
    assert_eq!(private_event(position), Ok(PrivateEvent::Balances(vec![eth, btc])));
    let update = r#"{"e":"balanceUpdate","E":1573200697110,"a":"BTC","d":"-100.00000000","T":1573200697068}"#;
    let time = Time::from_millis(1_573_200_697_068);
    let transfer = PrivateEvent::Transfer { asset: Asset::new("BTC"), delta: Cash::whole(-100), time };
    assert_eq!(private_event(update), Ok(transfer));
    let ended = r#"{"e":"eventStreamTerminated","E":1728973001334}"#;
    assert_eq!(private_event(ended), Ok(PrivateEvent::Terminated));
    assert_eq!(private_event(r#"{"e":"serverShutdown","E":1770123456789}"#), Ok(PrivateEvent::Shutdown));
}

const PLACED: &str = r#"{"symbol":"BTCUSDT","orderId":12569099453,"orderListId":-1,"clientOrderId":"4d96324ff9d44481926157ec08158a40",
    "transactTime":1660801715793,"price":"23416.10000000","origQty":"0.00847000","executedQty":"0.00300000",
    "origQuoteOrderQty":"0.000000","cummulativeQuoteQty":"70.24830000","status":"PARTIALLY_FILLED","timeInForce":"GTC",
    "type":"LIMIT","side":"SELL","workingTime":1660801715793,"selfTradePreventionMode":"EXPIRE_TAKER"}"#;

#[test]
fn the_reply_to_a_placement() {
    let report = order(PLACED).unwrap();
    assert_eq!((report.venue_id, report.side, report.previous_id), (12_569_099_453, Side::Sell, None));
    assert_eq!(report.client_id.as_str(), "4d96324ff9d44481926157ec08158a40");
    assert_eq!((report.qty, report.filled), ("0.00847".parse().unwrap(), "0.003".parse().unwrap()));
    assert_eq!(report.price, "23416.1".parse().unwrap());
    assert_eq!((report.time, report.fill), (Time::from_millis(1_660_801_715_793), None));
    let ack = r#"{"symbol":"BTCUSDT","orderId":1,"orderListId":-1,"clientOrderId":"x","transactTime":1}"#;
    assert!(order(ack).is_err());
}

#[test]
fn r21_the_reply_to_a_cancel_names_both_ids() {
    let text = PLACED
        .replace("PARTIALLY_FILLED", "CANCELED")
        .replace(r#""orderListId""#, r#""origClientOrderId":"the-order","orderListId""#);
    let report = order(&text).unwrap();
    assert_eq!(report.previous_id.unwrap().as_str(), "the-order");
    assert_eq!(report.status, VenueStatus::Canceled);
}

#[test]
fn the_reply_to_an_amend_has_spellings_of_its_own() {
    let text = r#"{"transactTime":1741924229819,"executionId":60,"amendedOrder":{"symbol":"BTCUSDT","orderId":23,
        "orderListId":-1,"origClientOrderId":"my_pending_order","clientOrderId":"xbxXh5SSwaHS7oUEOCI88B",
        "price":"1.00000000","qty":"5.00000000","executedQty":"1.00000000","preventedQty":"0.00000000",
        "quoteOrderQty":"0.00000000","cumulativeQuoteQty":"2.00000000","status":"NEW","timeInForce":"GTC","type":"LIMIT",
        "side":"BUY","workingTime":1741924204920,"selfTradePreventionMode":"NONE"}}"#;
    let report = amended_order(text).unwrap();
    assert_eq!((report.qty, report.filled), (Qty::whole(5), Qty::whole(1)));
    assert_eq!(report.client_id.as_str(), "xbxXh5SSwaHS7oUEOCI88B");
    assert_eq!(report.previous_id.unwrap().as_str(), "my_pending_order");
    assert_eq!(report.time, Time::from_millis(1_741_924_229_819));
}

#[test]
fn answers_to_queries() {
    let row = r#"{"symbol":"BTCUSDT","orderId":12569099453,"orderListId":-1,"clientOrderId":"4d96","price":"23416.10000000",
        "origQty":"0.00847000","executedQty":"0.00720000","cummulativeQuoteQty":"172.43931000","status":"PARTIALLY_FILLED",
        "timeInForce":"GTC","type":"STOP_LOSS_LIMIT","side":"SELL","stopPrice":"23500.0","icebergQty":"0.00000000",
        "time":1660801715639,"updateTime":1660801717945,"isWorking":true,"workingTime":1660801715639,
        "origQuoteOrderQty":"0.00000000","selfTradePreventionMode":"NONE"}"#;
    let found = order(row).unwrap();
    assert_eq!(found.time, Time::from_millis(1_660_801_717_945));
    assert_eq!((found.order_type, found.stop), (Some(OrderType::StopLossLimit), "23500".parse().unwrap()));
    assert_eq!(orders(&format!("[{row}]")).unwrap(), [found]);
    assert_eq!(orders("[]").unwrap(), []);

    let trade = r#"[{"symbol":"BTCUSDT","id":1650422481,"orderId":12569099453,"orderListId":-1,"price":"23416.10000000",
        "qty":"0.00635000","quoteQty":"148.69223500","commission":"0.00000000","commissionAsset":"BNB",
        "time":1660801715793,"isBuyer":false,"isMaker":true,"isBestMatch":true}]"#;
    let fills = trades(trade).unwrap();
    assert_eq!((fills[0].trade_id, fills[0].venue_id), (1_650_422_481, 12_569_099_453));
    assert_eq!((fills[0].side, fills[0].maker), (Side::Sell, true));
    assert_eq!(fills[0].quote, "148.692235".parse().unwrap());
    assert_eq!((fills[0].fee.is_zero(), &fills[0].fee_asset), (true, &None));

    let status = r#"{"makerCommission":15,"takerCommission":15,"buyerCommission":0,"sellerCommission":0,"canTrade":true,
        "canWithdraw":true,"canDeposit":true,"commissionRates":{"maker":"0.00150000","taker":"0.00150000",
        "buyer":"0.00000000","seller":"0.00000000"},"brokered":false,"requireSelfTradePrevention":false,"preventSor":false,
        "updateTime":1660801833000,"accountType":"SPOT","balances":[{"asset":"BNB","free":"0.00000000","locked":"0.0"},
        {"asset":"BTC","free":"1.3447112","locked":"0.08600000"}],"permissions":["SPOT"],"uid":354937868}"#;
    let account = account(status).unwrap();
    let (free, locked) = ("1.3447112".parse().unwrap(), "0.086".parse().unwrap());
    let btc = Balance::new(Asset::new("BTC"), free, locked);
    assert_eq!(account.balances, [btc]);
    assert!(account.can_trade);
}

#[test]
fn damaged_frames_never_panic() {
    let amended = format!(r#"{{"transactTime":1,"executionId":60,"amendedOrder":{PLACED}}}"#);
    let position = r#"{"e":"outboundAccountPosition","u":1,"B":[{"a":"ETH","f":"10.0","l":"0.5"}]}"#;
    for text in
        [execution(&[("x", r#""TRADE""#), ("t", "77")]), PLACED.to_owned(), amended, position.to_owned()]
    {
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            read_all(&text[..end]);
            for with in ["", "\"", "}", "9", "-", ".", "é", "null", "\\", "[", "1e99"] {
                read_all(&format!("{}{with}{}", &text[..end], &text[end + 1..]));
            }
        }
    }
}

fn read_all(text: &str) {
    let _ =
        (private_event(text), order(text), orders(text), trades(text), account(text), amended_order(text));
    let _ = crate::reply::frame(&format!(r#"{{"id":1,"status":200,"result":{text}}}"#)).is_ok();
    let _ = crate::exchange_info::exchange_info(text).is_ok();
}
