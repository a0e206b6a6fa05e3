//! Frames written field by field from the venue's futures pages, not by an encoder of ours.

use super::*;

fn cash(text: &str) -> Cash {
    text.parse().unwrap()
}

fn account_of(text: &str) -> AccountUpdate {
    match user_event(text).unwrap() {
        UserEvent::Account(update) => *update,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_trade_moves_a_wallet_and_a_position() {
    let update = account_of(
        r#"{"e":"ACCOUNT_UPDATE","E":1564745798939,"T":1564745798938,"a":{"m":"ORDER","B":[{"a":"USDT","wb":"122624.12345678",
        "cw":"100.12345678","bc":"0"}],"P":[{"s":"BTCUSDT","pa":"-0.5","ep":"0.00000","bep":"0","cr":"200","up":"0",
        "mt":"cross","iw":"0.0","ps":"BOTH"}]}}"#,
    );
    let usdt = Balance::new(Asset::new("USDT"), cash("122624.12345678"), Cash::ZERO);
    let held = Balance::new(Asset::new("BTCUSDT"), cash("-0.5"), Cash::ZERO);
    assert_eq!(update.balances, [usdt, held]);
    assert_eq!((update.income.len(), update.hedged), (0, false));
    assert_eq!(update.isolated, [(Symbol::new("btcusdt"), false)]);
}

#[test]
fn r45_funding_names_its_symbol_and_its_amount() {
    let update = account_of(
        r#"{"e":"ACCOUNT_UPDATE","E":1754553600010,"T":1754553600000,"a":{"m":"FUNDING_FEE","B":[{"a":"USDT","wb":"99.5",
        "cw":"99.5","bc":"-0.5"}],"P":[],"S":"BTCUSDT"}}"#,
    );
    let expected = Income {
        id: None,
        kind: ChargeKind::Funding,
        symbol: Some(Symbol::new("btcusdt")),
        asset: Asset::new("USDT"),
        amount: cash("-0.5"),
        time: Time::from_millis(1_754_553_600_000),
        loan: None,
    };
    assert_eq!(update.income, [expected]);
}

#[test]
fn other_reasons_are_told_by_their_kind_and_new_ones_do_not_crash() {
    for (word, kind) in [
        ("DEPOSIT", Some(ChargeKind::Transfer)),
        ("INSURANCE_CLEAR", Some(ChargeKind::Insurance)),
        ("MARGIN_TYPE_CHANGE", None),
        ("SOMETHING_NEW", Some(ChargeKind::Other)),
    ] {
        let update = account_of(&format!(
            r#"{{"e":"ACCOUNT_UPDATE","E":2,"T":1,"a":{{"m":"{word}","B":[{{"a":"USDT","wb":"1","cw":"1","bc":"1"}}],"P":[
            {{"s":"ETHUSDT","pa":"0","mt":"isolated","ps":"LONG"}}]}}}}"#
        ));
        assert_eq!(update.income.first().map(|income| income.kind), kind, "{word}");
        assert!(update.hedged);
        assert_eq!(update.isolated, [(Symbol::new("ethusdt"), true)]);
    }
}

#[test]
fn modes_calls_and_ends() {
    let event = |text: &str| user_event(text).unwrap();
    let leverage = r#"{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"T":1,"ac":{"s":"BTCUSDT","l":25}}"#;
    assert_eq!(event(leverage), UserEvent::Other);
    let mode = r#"{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"T":1,"ai":{"j":true}}"#;
    assert_eq!(event(mode), UserEvent::MultiAssets(true));
    let call = r#"{"e":"MARGIN_CALL","E":1587727187525,"cw":"3.16812045","p":[{"s":"ETHUSDT","ps":"BOTH","pa":"1.327",
        "mt":"CROSSED","iw":"0","mp":"187.17127","up":"-1.166074","mm":"1.614445"}]}"#;
    let words = "1.327 ETHUSDT at mark 187.17127, maintenance margin 1.614445";
    assert_eq!(event(call), UserEvent::MarginCall(words.to_owned()));
    assert_eq!(event(r#"{"e":"listenKeyExpired","E":1736996475556,"listenKey":"x"}"#), UserEvent::KeyExpired);
    assert_eq!(event(r#"{"e":"TRADE_LITE","E":1,"T":1,"s":"BTCUSDT"}"#), UserEvent::Other);
    assert_eq!(event(r#"{"result":["x"],"id":1}"#), UserEvent::Other);
    assert!(user_event(r#"{"e":"ACCOUNT_UPDATE","T":1,"a":{"m":"ORDER","B":[{"a":"USDT"}]}}"#).is_err());
}

#[test]
fn how_the_account_is_set_up() {
    let config = r#"{"feeTier":0,"canTrade":true,"canDeposit":true,"canWithdraw":true,"dualSidePosition":true,
        "updateTime":0,"multiAssetsMargin":false,"tradeGroupId":-1}"#;
    let expected = AccountConfig { can_trade: true, dual_side_position: true, multi_assets_margin: false };
    assert_eq!(account_config(config), Ok(expected));
    let symbols = r#"[{"symbol":"BTCUSDT","marginType":"CROSSED","isAutoAddMargin":false,"leverage":21,
        "maxNotionalValue":"1000000"},{"symbol":"ETHUSDT","marginType":"ISOLATED","isAutoAddMargin":false,"leverage":5,
        "maxNotionalValue":"1"}]"#;
    assert_eq!(isolated_symbols(symbols).unwrap(), [Symbol::new("ethusdt")]);
    assert_eq!(listen_key(r#"{"listenKey":"abc"}"#).as_deref(), Ok("abc"));
}

#[test]
fn a_listen_key_fits_an_address() {
    let read = |key: &str| listen_key(&format!(r#"{{"listenKey":"{key}"}}"#));
    assert_eq!(
        read("pqia91ma19a5s61cv6a81va65sdf19v8a65a1").unwrap(),
        "pqia91ma19a5s61cv6a81va65sdf19v8a65a1"
    );
    for odd in ["", "a b", "a/b", "a?b", "a#b", "a@b", "a%b", "ä"] {
        let refused = read(odd).unwrap_err().to_string();
        assert!(!refused.contains("a b") && refused.contains("listen key"), "{odd}: {refused}");
    }
}

#[test]
fn wallets_and_positions_are_balances() {
    let text = r#"{"totalWalletBalance":"23.72","assets":[{"asset":"USDT","walletBalance":"23.72469206","updateTime":5},
        {"asset":"BNB","walletBalance":"0.00000000","updateTime":0}],"positions":[{"symbol":"BTCUSDT",
        "positionSide":"BOTH","positionAmt":"-1.000","unrealizedProfit":"0","updateTime":9}]}"#;
    let account = account(text).unwrap();
    let names: Vec<&str> = account.balances.iter().map(|row| row.asset.as_str()).collect();
    assert_eq!(names, ["USDT", "BTCUSDT"]);
    assert_eq!(account.balances[1].free, Cash::whole(-1));
    let hedged = text.replace("BOTH", "SHORT");
    assert!(super::account(&hedged).unwrap_err().to_string().contains("hedge mode"));
}

#[test]
fn r45_income_and_funding_rates() {
    let rows = r#"[{"symbol":"","incomeType":"TRANSFER","income":"-0.375","asset":"USDT","info":"TRANSFER",
        "time":1570608000000,"tranId":9689322392,"tradeId":""},{"symbol":"BTCUSDT","incomeType":"COMMISSION",
        "income":"-0.01","asset":"USDT","info":"COMMISSION","time":1570636800000,"tranId":"9689322393","tradeId":"2059192"},
        {"symbol":"BTCUSDT","incomeType":"FUNDING_FEE","income":"-0.5","asset":"USDT","info":"FUNDING_FEE",
        "time":1570636800000,"tranId":9689322394,"tradeId":""}]"#;
    let income = income(rows).unwrap();
    assert_eq!(
        income.iter().map(|row| row.kind).collect::<Vec<_>>(),
        [ChargeKind::Transfer, ChargeKind::Trade, ChargeKind::Funding]
    );
    assert_eq!((income[0].kind, income[0].symbol.clone()), (ChargeKind::Transfer, None));
    assert_eq!((income[2].id, income[2].amount), (Some(9_689_322_394), cash("-0.5")));
    let rates = r#"[{"symbol":"BTCUSDT","fundingRate":"-0.03750000","fundingTime":1570608000000,
        "markPrice":"34287.54619963","rateType":"Regular"},{"symbol":"BTCUSDT","fundingRate":"0.0001",
        "fundingTime":1570636800000,"markPrice":""}]"#;
    let rates = funding_rates(rates).unwrap();
    assert_eq!(
        (rates[0].rate, rates[0].mark),
        ("-0.0375".parse().unwrap(), "34287.54619963".parse().unwrap())
    );
    assert_eq!((rates[1].kind, rates[1].mark), (ChargeKind::Funding, Price::ZERO));
}
