//! Frames written field by field from web-socket-streams.md (2026-07-21), and what becomes of them when they are
//! damaged.

use tradingsys::ids::Symbol;

use super::*;

fn level(price: &str, qty: &str) -> Level {
    Level { price: price.parse().unwrap(), qty: qty.parse().unwrap() }
}

#[test]
fn names_of_streams() {
    for (word, name) in [
        ("depth", "btcusdt@depth20"),
        ("depth:100ms", "btcusdt@depth20@100ms"),
        ("bbo", "btcusdt@bookTicker"),
        ("trade", "btcusdt@trade"),
        ("kline:1M", "btcusdt@kline_1M"),
        ("kline:1m", "btcusdt@kline_1m"),
    ] {
        let stream = Stream { symbol: Symbol::new("BTCUSDT"), channel: Channel::from_word(word).unwrap() };
        assert_eq!(stream_name(&stream), name);
    }
}

#[test]
fn outsides() {
    let data = |text| match stream_frame(text).unwrap() {
        StreamFrame::Data { name, data } => (name.to_owned(), data.to_owned()),
        other => panic!("{other:?}"),
    };
    let expected = ("btcusdt@trade".to_owned(), r#"{"t":1}"#.to_owned());
    assert_eq!(data(r#"{"stream":"btcusdt@trade","data":{"t":1}}"#), expected);
    assert_eq!(data("{ \"data\" : {\"t\":1}, \"stream\" : \"btcusdt@trade\", \"more\": 0 }"), expected);
    // A member behind the data is cut with it, and the data cannot be read; the whole frame can.
    let more = r#"{"stream":"btcusdt@trade","data":{"t":1},"more":{"x":0}}"#;
    assert!(serde_json::from_str::<serde_json::Value>(&data(more).1).is_err());
    assert_eq!(whole_frame(more).unwrap(), StreamFrame::Data { name: "btcusdt@trade", data: r#"{"t":1}"# });
    // Either way takes it for data, which then cannot be read, and without the blanks around it.
    for text in
        [r#"{"stream":"btcusdt@trade","data":null}"#, r#"{"stream":"btcusdt@trade","data": {"t":1} }"#]
    {
        assert_eq!(stream_frame(text).unwrap(), whole_frame(text).unwrap(), "{text}");
    }
    let shutdown = r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#;
    assert_eq!(stream_frame(shutdown).unwrap(), StreamFrame::Shutdown);
    assert_eq!(stream_frame(r#"{"e":"serverShutdown","E":1}"#).unwrap(), StreamFrame::Shutdown);
    assert_eq!(
        stream_frame(r#"{"result":null,"id":3}"#).unwrap(),
        StreamFrame::Answer { id: 3, result: Ok(()) }
    );
    assert_eq!(
        stream_frame(r#"{"result":["a"],"id":4}"#).unwrap(),
        StreamFrame::Answer { id: 4, result: Ok(()) }
    );
    for refusal in [
        r#"{"code":2,"msg":"Invalid request: unknown variant","id":5}"#,
        r#"{"error":{"code":2,"msg":"Invalid request: unknown variant"},"id":5}"#,
    ] {
        let result = Err("Invalid request: unknown variant".to_owned());
        assert_eq!(stream_frame(refusal).unwrap(), StreamFrame::Answer { id: 5, result });
    }
    for bad in ["", "x", r#"{"stream":"#, r#"{"id":1"#, "{\"stream\":\"a\nb\",\"data\":{}}"] {
        assert!(stream_frame(bad).is_err(), "{bad}");
    }
}

#[test]
fn depths_and_tickers() {
    let now = Time::from_millis(9);
    let text = r#"{"lastUpdateId":160,"bids":[["0.0024","10"],["0.0023","4.5"]],"asks":[["0.0026","100"]]}"#;
    let expected = Depth {
        update_id: 160,
        time: now,
        bids: vec![level("0.0024", "10"), level("0.0023", "4.5")],
        asks: vec![level("0.0026", "100")],
    };
    assert_eq!(depth(text, now).unwrap(), expected);
    let text = r#"{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}"#;
    let expected = Depth {
        update_id: 400_900_217,
        time: now,
        bids: vec![level("25.3519", "31.21")],
        asks: vec![level("25.3652", "40.66")],
    };
    assert_eq!(book_ticker(text, now).unwrap(), expected);
    let empty = text.replace("40.66000000", "0.00000000");
    assert_eq!(book_ticker(&empty, now).unwrap().asks, []);
    for bad in
        ["{}", r#"{"lastUpdateId":1,"bids":[["1"]],"asks":[]}"#, r#"{"lastUpdateId":-1,"bids":[],"asks":[]}"#]
    {
        assert!(depth(bad, now).is_err(), "{bad}");
    }
}

#[test]
fn the_usual_spelling_and_any_other_read_alike() {
    let now = Time::from_millis(9);
    let usual = r#"{"lastUpdateId":160,"bids":[["0.0024","10"],["0.0023","4.5"]],"asks":[["0.0026","100"]]}"#;
    let other = r#"{ "x":1, "asks": [["0.0026", "100"]], "lastUpdateId":160, "bids":[["0.0024","10"],["0.0023","4.5"]]}"#;
    assert!(scan::depth(usual).is_some() && scan::depth(other).is_none());
    assert_eq!(depth(usual, now).unwrap(), depth(other, now).unwrap());
    let empty = r#"{"lastUpdateId":1,"bids":[],"asks":[]}"#;
    assert_eq!(scan::depth(empty), Some((1, vec![], vec![])));
    let usual = r#"{"u":4,"s":"B","b":"25.3","B":"31.2","a":"25.4","A":"40.6"}"#;
    let other = r#"{"u":4,"s":"\u0042","b":"25.3","B":"31.2","a":"25.4","A":"40.6","new":[]}"#;
    assert!(scan::book_ticker(usual).is_some() && scan::book_ticker(other).is_none());
    assert_eq!(book_ticker(usual, now).unwrap(), book_ticker(other, now).unwrap());
    for odd in ["", "{", r#"{"lastUpdateId":160"#, &usual[1..], r#"{"lastUpdateId":1,"bids":[],"asks":[]} "#]
    {
        assert!(scan::depth(odd).is_none() && scan::book_ticker(odd).is_none(), "{odd}");
    }
}

#[test]
fn trades() {
    let text = r#"{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782135,"m":true,"M":true}"#;
    let expected = PublicTrade {
        id: 12_345,
        time: Time::from_millis(1_672_515_782_135),
        price: "0.001".parse().unwrap(),
        qty: Qty::whole(100),
        buyer_is_maker: true,
    };
    assert_eq!(trade(text).unwrap(), expected);
}

#[test]
fn bars() {
    let text = r#"{"e":"kline","E":1672515782136,"s":"BNBBTC","k":{"t":1672515780000,"T":1672515839999,"s":"BNBBTC","i":"1m",
        "f":100,"L":200,"o":"0.0010","c":"0.0020","h":"0.0025","l":"0.0015","v":"1000","n":100,"x":false,"q":"1.0000",
        "V":"500","Q":"0.500","B":"123456"}}"#;
    let expected = Bar {
        interval: Interval::M1,
        start: Time::from_millis(1_672_515_780_000),
        end: Time::from_millis(1_672_515_839_999),
        open: "0.001".parse().unwrap(),
        high: "0.0025".parse().unwrap(),
        low: "0.0015".parse().unwrap(),
        close: "0.002".parse().unwrap(),
        volume: Qty::whole(1000),
        amount: Cash::whole(1),
        trades: 100,
        buy_volume: Qty::whole(500),
        buy_amount: "0.5".parse().unwrap(),
        closed: false,
    };
    assert_eq!(kline(text).unwrap(), expected);
    assert!(kline(&text.replace("\"1m\"", "\"7m\"")).is_err());

    let rows = r#"[[1672515780000,"0.0010","0.0025","0.0015","0.0020","1000",1672515839999,"1.0000",100,"500","0.500","0"]]"#;
    let at = |millis| klines(rows, Interval::M1, Time::from_millis(millis)).unwrap();
    assert_eq!(at(1_672_515_839_999), std::slice::from_ref(&expected));
    assert_eq!(at(1_672_515_840_000), [Bar { closed: true, ..expected }]);
    assert!(klines("[[1]]", Interval::M1, Time::default()).is_err());
}

#[test]
fn damaged_frames_never_panic() {
    let whole = [
        r#"{"stream":"btcusdt@depth20","data":{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","1"]]}}"#,
        r#"{"stream":"b@trade","data":{"e":"trade","E":1,"s":"B","t":5,"p":"0.1","q":"1","T":2,"m":true,"M":true}}"#,
        r#"{"code":2,"msg":"Invalid request","id":5}"#,
    ];
    for text in whole {
        for end in 0..text.len() {
            read_all(&text[..end]);
            for with in ["", "\"", "}", "9", "-", "é", "null", "\\"] {
                read_all(&format!("{}{with}{}", &text[..end], &text[end + 1..]));
            }
        }
    }
}

fn read_all(text: &str) {
    if let Ok(StreamFrame::Data { data, .. }) = stream_frame(text) {
        let _ = (depth(data, Time::default()), trade(data), book_ticker(data, Time::default()), kline(data));
    }
}
