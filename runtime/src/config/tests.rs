use super::*;

use crate::Endpoint;

const SPOT: Product = Product {
    exe: "spot",
    market: "spot",
    environments: &["live", "testnet"],
    keys: &["margin", "side_effect", "auto_repay_at_cancel"],
    endpoints: &[
        Endpoint { name: "ws_api", needed: true, urls: &["wss://live/api", "wss://test/api"] },
        Endpoint { name: "streams", needed: true, urls: &["wss://live/s", "wss://test/s"] },
        Endpoint { name: "rest", needed: false, urls: &["https://live"] },
    ],
};

fn read(text: &str) -> Result<Config, String> {
    parse(text, Path::new("/etc/t/spot.json"), Path::new("/etc/t"), &SPOT)
}

fn with(extra: &str) -> Result<Config, String> {
    read(&format!(
        "{{\"apikey\":\"k\",\"pem\":\"private_key.pem\",\"local\":\"ws://localhost:8111\",{extra}}}"
    ))
}

#[test]
fn row_004_27_the_four_keys_are_enough() {
    let config = with("\"margin\": false, // comment\n").unwrap();
    assert_eq!(config.apikey, "k");
    assert_eq!(config.pem, Path::new("/etc/t/private_key.pem"));
    assert_eq!(config.local, LocalAddress { host: "localhost".into(), port: 8111 });
    assert_eq!(config.endpoints["ws_api"], "wss://live/api");
    assert_eq!(config.db, Path::new("."));
    assert_eq!(config.recv_window, Span::from_millis(5_000));
}

#[test]
fn row_004_24_paths_are_relative_to_the_file() {
    let config = with(r#""db":"books","log_dir":"/var/log/x","unix_socket":"s","token_file":"t""#).unwrap();
    assert_eq!(config.db, Path::new("/etc/t/books"));
    assert_eq!(config.log_dir, Path::new("/var/log/x"));
    assert_eq!(config.unix_socket.as_deref(), Some(Path::new("/etc/t/s")));
    assert_eq!(config.token_file.as_deref(), Some(Path::new("/etc/t/t")));
}

#[test]
fn the_install_name_is_of_key_and_market_unless_configured() {
    let usdt = Product { market: "usdt", ..SPOT };
    let text = r#"{"apikey":"k","pem":"p","local":"ws://localhost:1"}"#;
    let of = |product| parse(text, Path::new("f"), Path::new("."), product).unwrap().install;
    assert_eq!(of(&SPOT), of(&SPOT));
    assert_ne!(of(&SPOT), of(&usdt));
    assert_eq!(with(r#""install":"7cz1k""#).unwrap().install.as_str(), "7cz1k");
}

#[test]
fn with_endpoints_given_no_other_address_is_known() {
    let given = r#""env":"testnet","endpoints":{"ws_api":"ws://127.0.0.1:1","streams":"ws://127.0.0.1:2"}"#;
    let config = with(given).unwrap();
    assert!(config.endpoints.values().all(|url| url.starts_with("ws://127.0.0.1:")));
    assert_eq!(with(r#""env":"testnet""#).unwrap().endpoints["streams"], "wss://test/s");
    assert!(!with(r#""env":"testnet""#).unwrap().endpoints.contains_key("rest"));
}

#[test]
fn row_004_30_margin_is_another_account_with_books_of_its_own() {
    let (spot, plain) = (with(r#""margin":false"#).unwrap(), with(r#""margin":true"#).unwrap());
    assert_eq!((spot.market, spot.margin), ("spot", None));
    let terms = |side_effect, auto_repay_at_cancel| Some(MarginTerms { side_effect, auto_repay_at_cancel });
    assert_eq!((plain.market, plain.margin), ("margin", terms(SideEffect::None, true)));
    assert_ne!(spot.install, plain.install);
    let extra = r#""margin":true,"side_effect":"AUTO_BORROW_REPAY","auto_repay_at_cancel":false"#;
    assert_eq!(with(extra).unwrap().margin, terms(SideEffect::AutoBorrowRepay, false));
}

#[test]
fn every_wrong_file_is_refused_with_words_that_help() {
    for (text, words) in [
        ("", "not readable: EOF"),
        ("[]", "expected an object, {\"apikey\": …} at line 1"),
        ("{\n\"apikey\" \"k\"}", "expected `:` at line 2 column 10"),
        (r#"{"apikey":"k"}"#, "\"pem\" is missing; it must be a string"),
        (r#"{"pem":"p"}"#, "\"apikey\" is missing"),
        (r#"{"apikey":"k","pem":"p"}"#, "\"local\" is missing"),
        (r#"{"api_key":"k"}"#, "unknown key \"api_key\"; did you mean \"apikey\"?"),
        (r#"{"zzzzzz":1}"#, "unknown key \"zzzzzz\"; known are apikey, pem, margin"),
        (r#"{"apikey":5}"#, "\"apikey\" must be a string, found 5"),
        (r#"{"apikey":"k","apikey":"k"}"#, "\"apikey\" is there twice"),
    ] {
        let error = read(text).err().unwrap_or_else(|| panic!("{text} was taken"));
        assert!(error.contains(words), "{text}: {error}");
    }
    for (extra, words) in [
        (r#""margin":true,"env":"testnet""#, "no cross margin in env \"testnet\""),
        (
            r#""margin":true,"endpoints":{"ws_api":"ws://x","streams":"ws://x"}"#,
            "\"endpoints.rest\" is missing; with \"margin\": true orders go over it",
        ),
        (
            r#""margin":true,"env":"testnet","endpoints":{"ws_api":"ws://x","streams":"ws://x"}"#,
            "\"endpoints.rest\" is missing; with \"margin\": true orders go over it",
        ),
        (r#""side_effect":"MARGIN_BUY""#, "\"side_effect\" is of the cross-margin account alone"),
        (r#""margin":false,"auto_repay_at_cancel":true"#, "add \"margin\": true, or remove it"),
        (r#""margin":true,"side_effect":"BORROW""#, "AUTO_BORROW_REPAY, found \"BORROW\""),
        (r#""isolated":true"#, "isolated margin is not traded: `spot` trades the spot account"),
        (
            r#""endpoints":{"rest":"http://x","public":"ws://x"}"#,
            "\"endpoints.public\" is of `usdt`, and this is `spot`: remove it, or, if this is the configuration of `usdt`",
        ),
        (
            r#""margin":true,"auto_repay_at_cancel":true"#,
            "with side effect NO_SIDE_EFFECT they borrow nothing",
        ),
        (r#""margin":"no""#, "\"margin\" must be true or false, found a string"),
        (r#""env":"prod""#, "\"prod\" is none of live, testnet"),
        (r#""recv_window_ms":90000"#, "must be a whole number from 100 to 60000, found 90000"),
        (r#""recv_window_ms":1.5"#, "found 1.5"),
        (r#""allowed_origins":"x""#, "must be a list of strings, found a string"),
        (r#""allowed_origins":["https://desk.example","*"]"#, "\"*\" is no origin as a browser writes it"),
        (r#""endpoints":{"ws_api":1}"#, "must be an object of strings, found 1 at \"ws_api\""),
        (r#""endpoints":{"wsapi":"ws://x"}"#, "unknown key \"endpoints.wsapi\"; did you mean \"ws_api\"?"),
        (r#""endpoints":{"streams":"http://x"}"#, "does not begin with ws:// or wss://"),
        (r#""endpoints":{"ws_api":"ws://x"}"#, "\"endpoints.streams\" is missing"),
        (r#""install":"aeiou""#, "is no install name"),
        (r#""limits":5"#, "\"limits\" must be an object, found 5"),
        (
            r#""limits":{"account":{"open_orders":1,"open_orders":2}}"#,
            "\"open_orders\" is there twice; keep one",
        ),
    ] {
        let error = with(extra).err().unwrap_or_else(|| panic!("{extra} was taken"));
        assert!(error.contains(words), "{extra}: {error}");
    }
}

#[test]
fn row_004_31_83_only_loopback_is_served_without_tls() {
    for (address, words) in [
        ("ws://0.0.0.0:8111", "not a loopback address"),
        ("ws://192.168.1.5:8111", "not a loopback address"),
        ("localhost:8111", "no address like"),
        ("ws://localhost", "no address like"),
        ("ws://localhost:port", "no address like"),
        ("ws://localhost:99999", "no address like"),
    ] {
        let error = door::local(address, false).unwrap_err();
        assert!(error.contains(words), "{address}: {error}");
    }
    for good in ["ws://localhost:0", "ws://127.0.0.1:8111/", "ws://[::1]:8111"] {
        door::local(good, false).unwrap();
    }
}

#[test]
fn any_address_is_served_by_tls() {
    let keys = |local: &str, more: &str| {
        read(&format!(r#"{{"apikey":"k","pem":"p","local":"{local}",{more}}}"#))
            .map_err(|error| error.to_string())
    };
    let tls = r#""tls":{"cert":"c.pem","key":"k.pem"},"token_file":"t""#;
    for (address, host) in
        [("wss://0.0.0.0:8111", "0.0.0.0"), ("wss://[::]:8111/", "[::]"), ("wss://desk:0", "desk")]
    {
        let config = keys(address, tls).unwrap();
        assert_eq!(config.local.host, host);
        assert_eq!(config.tls.unwrap().cert, Path::new("/etc/t/c.pem"));
    }
    for (address, more, words) in [
        ("wss://localhost:1", r#""env":"live""#, "needs \"tls\""),
        ("ws://localhost:1", tls, "is without TLS"),
        ("ws://0.0.0.0:1", tls, "is without TLS"),
        ("wss://:1", tls, "no address like"),
        ("wss://localhost:1", r#""tls":{"cert":"c","key":"k"}"#, "there must be a \"token_file\""),
        ("wss://localhost:1", r#""tls":{"cert":"c"},"token_file":"t""#, "\"tls.key\" is missing"),
        ("wss://localhost:1", r#""tls":{"cert":"c","keys":"k"},"token_file":"t""#, "did you mean \"key\""),
    ] {
        let error = keys(address, more).err().unwrap_or_else(|| panic!("{address} {more} was taken"));
        assert!(error.contains(words), "{address} {more}: {error}");
    }
}

#[test]
fn a_session_may_have_a_token_of_its_own() {
    let config = with(r#""session_tokens":{"7":"tokens/7","0":"/run/zero"}"#).unwrap();
    let files: Vec<_> =
        config.session_tokens.iter().map(|(id, file)| (id.0, file.to_str().unwrap())).collect();
    assert_eq!(files, [(0, "/run/zero"), (7, "/etc/t/tokens/7")]);
    for bad in [r#"{"seven":"f"}"#, r#"{"65536":"f"}"#, r#"{"07":"f"}"#, r#"{"7":""}"#] {
        let error = with(&format!(r#""session_tokens":{bad}"#)).err().unwrap();
        assert!(error.contains("is no session and its file"), "{bad}: {error}");
    }
}

#[test]
fn the_documentation_lists_exactly_the_keys_of_the_code() {
    let page = include_str!("../../../docs/configuration.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let documented: Vec<&str> = rows.iter().map(|cells| cells[1].trim_matches('`')).collect();
    let known: Vec<&str> = keys::KEYS.iter().map(|key| key.name).collect();
    assert_eq!(documented, known, "docs/configuration.md and the table of keys differ");
    for (cells, key) in rows.iter().zip(keys::KEYS) {
        assert_eq!(cells[2], key.kind.words(), "kind of {}", key.name);
        assert_eq!(cells[3] == "required", key.required, "default of {}", key.name);
    }
}

#[test]
fn a_key_of_another_program_is_told_as_one() {
    let usdt = Product { exe: "usdt", keys: &["set_one_way_mode"], ..SPOT };
    let text = |key: &str| format!(r#"{{"apikey":"k","pem":"p","local":"ws://localhost:1","{key}":true}}"#);
    let of = |key| parse(&text(key), Path::new("f"), Path::new("."), &usdt);
    assert!(of("set_one_way_mode").unwrap().set_one_way_mode);
    let error = of("margin").err().unwrap();
    assert!(error.starts_with("\"margin\" is of `spot`, and this is `usdt`: remove it"), "{error}");
    let error = with(r#""set_one_way_mode":true"#).err().unwrap();
    assert!(error.starts_with("\"set_one_way_mode\" is of `usdt`, and this is `spot`"), "{error}");
    assert!(of("isolated_margin").err().unwrap().contains("`usdt` trades symbols on cross margin"));
    let sample = include_str!("../../../usdt.json");
    let config = parse(sample, Path::new("usdt.json"), Path::new("."), &usdt).unwrap();
    assert_eq!((config.local.port, config.db.as_path()), (8112, Path::new("./usdt_db")));
}

#[test]
fn row_004_22_the_sample_parses_once_a_key_is_filled_in() {
    let sample = include_str!("../../../spot.json");
    let config = read(sample).unwrap();
    assert_eq!(config.local.port, 8111);
}

#[test]
fn the_operators_token_lies_where_no_strategys_does() {
    let config = with(r#""token_file":"t","session_tokens":{"7":"7"},"operator_token_file":"o""#).unwrap();
    assert_eq!(config.operator_token_file.as_deref(), Some(Path::new("/etc/t/o")));
    for shared in ["t", "7"] {
        let extra =
            format!(r#""token_file":"t","session_tokens":{{"7":"7"}},"operator_token_file":"{shared}""#);
        let error = with(&extra).err().unwrap();
        assert!(
            error.contains("\"operator_token_file\": /etc/t/") && error.contains("another file"),
            "{error}"
        );
    }
}

#[test]
fn r64_an_origin_that_no_browser_writes_is_refused() {
    let taken = |origin: &str| with(&format!("\"allowed_origins\": [{origin:?}]"));
    for origin in [
        "https://desk.example",
        "https://desk.example:8443",
        "http://localhost:3000",
        "http://127.0.0.1",
        "http://[::1]:3000",
        "http://desk_2",
        "chrome-extension://abcdefgh",
        "http://desk.example:443",
    ] {
        assert_eq!(
            taken(origin).map(|config| config.allowed_origins),
            Ok(vec![origin.to_owned()]),
            "{origin}"
        );
    }
    for origin in [
        "",
        "*",
        "null",
        "desk.example",
        "https://",
        "https://*.desk.example",
        "https://desk.example/",
        "https://desk.example/page",
        "https://Desk.example",
        "HTTPS://desk.example",
        "https://desk.example:443",
        "http://desk.example:80",
        "https://desk.example:",
        "https://desk.example:0",
        "https://desk.example:08443",
        "https://desk.example:99999",
        "https://user@desk.example",
        "https://desk.example?x",
        "https://dësk.example",
        "http://[::1",
        "http://[0:0::1]",
        " https://desk.example",
    ] {
        let error = taken(origin).err().unwrap_or_else(|| panic!("{origin} was taken"));
        assert!(
            error.contains(&format!("{origin:?} is no origin")) && error.contains("scheme://host"),
            "{error}"
        );
    }
}
