use super::*;
use crate::fixtures::doge;
use crate::instrument::{Grid, OrderRules};
use crate::market::OrderType::*;

const NOW: Time = Time::from_millis(1_795_000_000_000);

fn number<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

fn grid<T: std::str::FromStr>(min: &str, max: &str, step: &str) -> Grid<T>
where
    T::Err: std::fmt::Debug,
{
    Grid { min: number(min), max: number(max), step: number(step) }
}

/// Every bound and step is another number.
fn instrument() -> Instrument {
    let types =
        [Limit, LimitMaker, Market, StopLoss, StopLossLimit, TakeProfit, TakeProfitLimit, TrailingStop];
    Instrument {
        price: grid("1", "100", "0.5"),
        qty: grid("2", "1000", "1"),
        market_qty: grid("5", "500", "5"),
        min_notional: Cash::whole(10),
        max_notional: Cash::whole(5_000),
        notional_applies_to_market: true,
        order_types: types.iter().map(|t| t.as_str().to_owned()).collect(),
        rules: OrderRules {
            tifs: vec![Tif::Gtc, Tif::Ioc, Tif::Gtd],
            good_till_least: Span::from_secs(600),
            callback_rate: grid("0.1", "5", "0.1"),
            ..OrderRules::default()
        },
        ..doge()
    }
}

fn draft(order_type: OrderType) -> Draft {
    let (limit, stop) = (order_type.has_price(), order_type.has_stop());
    Draft {
        side: Side::Buy,
        order_type,
        tif: None,
        price: limit.then(|| number("10")),
        qty: Some(Qty::whole(20)),
        quote_amount: None,
        stop: stop.then(|| number("9")),
        instructions: Instructions {
            callback_rate: (order_type == TrailingStop).then(|| number("0.5")),
            ..Instructions::default()
        },
    }
}

fn admitted(instrument: &Instrument, draft: &Draft) -> Result<NewOrder, Refusal> {
    admit(NOW, instrument, draft, ClientOrderId::foreign("a"), Stp::ExpireTaker)
}

fn limit(price: &str, qty: &str) -> Draft {
    Draft { price: Some(number(price)), qty: Some(number(qty)), ..draft(Limit) }
}

fn market(qty: &str) -> Draft {
    Draft { qty: Some(number(qty)), ..draft(Market) }
}

/// The first words of what is refused, or nothing.
fn refusal(instrument: &Instrument, draft: &Draft) -> String {
    admitted(instrument, draft).err().map_or_else(String::new, |refusal| refusal.to_string())
}

#[test]
fn prices_quantities_and_amounts_are_taken_up_to_their_very_bounds_and_no_further() {
    let instrument = instrument();
    for (draft, words) in [
        (limit("1", "10"), ""),
        (limit("0", "10"), "price 0 is outside"),
        (limit("-1", "10"), "price -1 is outside"),
        (limit("0.5", "20"), "price 0.5 is outside"),
        (limit("100", "50"), ""),
        (limit("100.5", "20"), "price 100.5 is outside"),
        (limit("1.2", "20"), "price 1.2"),
        (limit("5", "2"), ""),
        (limit("50", "1"), "quantity 1 is outside 2 to 1000"),
        (limit("50", "0"), "quantity 0 is outside"),
        (limit("50", "-2"), "quantity -2 is outside"),
        (limit("5", "1000"), ""),
        (limit("1", "1001"), "quantity 1001 is outside"),
        (limit("5", "2.5"), "quantity 2.5"),
        (limit("4.5", "2"), "the order is worth 9"),
        (limit("100", "51"), "the order is worth 5100"),
        (market("5"), ""),
        (market("500"), ""),
        (market("4"), "quantity 4 is outside 5 to 500"),
        (market("505"), "quantity 505 is outside 5 to 500"),
        (market("7"), "quantity 7"),
    ] {
        let found = refusal(&instrument, &draft);
        let fits = if words.is_empty() { found.is_empty() } else { found.starts_with(words) };
        assert!(fits, "{:?} at {:?}: {found:?}, not {words:?}", draft.qty, draft.price);
    }
    assert!(refusal(&instrument, &limit("50", "0")).contains("below one lot (1) is rounded down to 0"));
    assert!(!refusal(&instrument, &limit("50", "1")).contains("rounded"));
    assert!(refusal(&instrument, &limit("4.5", "2")).contains("10 USDT at least"));
    assert!(refusal(&instrument, &limit("100", "51")).contains("5000 USDT at most"));
}

#[test]
fn a_bound_of_zero_is_none() {
    let mut instrument = instrument();
    (instrument.price.max, instrument.qty.max) = (Price::ZERO, Qty::ZERO);
    (instrument.max_notional, instrument.market_qty) = (Cash::ZERO, Grid::default());
    assert_eq!(refusal(&instrument, &limit("2000", "3000")), "");
    assert_eq!(
        refusal(&instrument, &market("3001")),
        "",
        "without a grid of their own market orders have the other"
    );
    assert!(refusal(&instrument, &market("3001.5")).starts_with("quantity 3001.5"));
}

#[test]
fn what_only_reduces_may_be_small_but_not_large() {
    let instrument = instrument();
    for (price, qty, fits) in [("1", "2", true), ("100", "51", false)] {
        let mut draft = limit(price, qty);
        draft.instructions.reduce_only = true;
        assert_eq!(refusal(&instrument, &draft).is_empty(), fits, "{price} {qty}");
    }
}

#[test]
fn a_market_order_by_amount_has_a_positive_one_within_the_limits() {
    let mut instrument = instrument();
    let by = |amount: &str| Draft { qty: None, quote_amount: Some(number(amount)), ..draft(Market) };
    for (amount, words) in [
        ("10", ""),
        ("5000", ""),
        ("9", "the order is worth 9"),
        ("5001", "the order is worth 5001"),
        ("0", "a MARKET order needs a quote amount above zero"),
        ("-10", "a MARKET order needs a quote amount above zero"),
    ] {
        let found = refusal(&instrument, &by(amount));
        assert!(found.contains(words) && found.is_empty() == words.is_empty(), "{amount}: {found:?}");
    }
    let new = admitted(&instrument, &by("10")).unwrap();
    assert_eq!((new.terms, new.qty), (Terms::MarketQuote { amount: Cash::whole(10) }, Qty::ZERO));
    instrument.quote_qty_market_allowed = false;
    assert!(refusal(&instrument, &by("10")).contains("takes no quote amount on this symbol"));
    assert_eq!(refusal(&instrument, &market("5")), "");
}

/// A draft, what is wrong with it, and the words that say so.
type Wrong = (OrderType, fn(&mut Draft), &'static str);

#[test]
fn each_type_takes_its_own_fields_and_no_others() {
    let instrument = instrument();
    let wrong: [Wrong; 19] = [
        (Market, |d| d.price = Some(number("10")), "takes no price"),
        (Market, |d| d.tif = Some(Tif::Gtc), "takes no time in force"),
        (LimitMaker, |d| d.tif = Some(Tif::Gtc), "takes no time in force"),
        (Limit, |d| d.stop = Some(number("9")), "takes no stop price"),
        (TrailingStop, |d| d.stop = Some(number("9")), "takes no stop price"),
        (Limit, |d| d.instructions.working_type = Some(WorkingType::Last), "takes no working type"),
        (StopLoss, |d| d.instructions.callback_rate = Some(number("0.5")), "takes no callback rate"),
        (StopLoss, |d| d.instructions.activation_price = Some(number("9")), "takes no activation price"),
        (Limit, |d| d.quote_amount = Some(Cash::whole(20)), "takes no quote amount"),
        (Market, |d| d.quote_amount = Some(Cash::whole(20)), "takes a quantity or a quote amount, not both"),
        (Market, |d| d.qty = None, "needs a quantity"),
        (Limit, |d| d.qty = None, "needs a quantity"),
        (Limit, |d| d.price = None, "needs a price"),
        (StopLossLimit, |d| d.price = None, "needs a price"),
        (StopLoss, |d| d.stop = None, "needs a stop price"),
        (Limit, |d| d.instructions.good_till = Some(NOW), "takes good_till only with time in force GTD"),
        (Limit, |d| d.tif = Some(Tif::Gtd), "needs good_till with time in force GTD"),
        (TrailingStop, |d| d.instructions.callback_rate = None, "needs a callback rate"),
        (Limit, |d| d.tif = Some(Tif::Fok), "FOK"),
    ];
    for (order_type, spoil, words) in wrong {
        let mut draft = draft(order_type);
        assert_eq!(refusal(&instrument, &draft), "", "{order_type:?}");
        spoil(&mut draft);
        let found = refusal(&instrument, &draft);
        assert!(found.contains(words), "{order_type:?}: {found:?}, not {words:?}");
    }
}

#[test]
fn the_terms_say_what_was_asked_for() {
    let instrument = instrument();
    let (ten, nine) = (Some(number::<Price>("10")), Some(number::<Price>("9")));
    for (order_type, price, tif, stop, waits) in [
        (Limit, ten, Some(Tif::Gtc), None, false),
        (LimitMaker, ten, None, None, false),
        (Market, None, None, None, false),
        (StopLoss, None, None, nine, true),
        (StopLossLimit, ten, Some(Tif::Gtc), nine, true),
        (TakeProfit, None, None, nine, true),
        (TakeProfitLimit, ten, Some(Tif::Gtc), nine, true),
        (TrailingStop, None, None, None, true),
    ] {
        let terms = admitted(&instrument, &draft(order_type)).unwrap().terms;
        let found = (terms.order_type(), terms.price(), terms.tif(), terms.stop(), terms.is_conditional());
        assert_eq!(found, (order_type, price, tif, stop, waits));
    }
    for (order_type, spoil, words) in [
        (StopLossLimit, (|d| d.price = Some(number("10.2"))) as fn(&mut Draft), "price 10.2"),
        (StopLossLimit, |d| d.stop = Some(number("9.2")), "stop price 9.2"),
        (TrailingStop, |d| d.instructions.activation_price = Some(number("9.2")), "activation price 9.2"),
    ] {
        let mut draft = draft(order_type);
        spoil(&mut draft);
        assert!(refusal(&instrument, &draft).starts_with(words), "{}", refusal(&instrument, &draft));
    }
}

#[test]
fn an_end_of_life_is_a_whole_second_and_not_too_near() {
    let instrument = instrument();
    for (after, words) in [
        (Span::from_secs(600), ""),
        (Span::from_secs(900), ""),
        (Span::from_secs(599), "is too near"),
        (Span::from_millis(700_500), "is no whole second"),
    ] {
        let mut draft = Draft { tif: Some(Tif::Gtd), ..draft(Limit) };
        draft.instructions.good_till = Some(NOW + after);
        let found = refusal(&instrument, &draft);
        assert!(found.contains(words) && found.is_empty() == words.is_empty(), "{after:?}: {found:?}");
    }
}

#[test]
fn a_callback_rate_lies_on_its_grid() {
    let instrument = instrument();
    for (rate, fits) in [
        ("0.1", true),
        ("5", true),
        ("0.3", true),
        ("0.05", false),
        ("0", false),
        ("5.1", false),
        ("0.15", false),
    ] {
        let mut draft = draft(TrailingStop);
        draft.instructions.callback_rate = Some(number(rate));
        assert_eq!(refusal(&instrument, &draft).is_empty(), fits, "{rate}");
    }
}

#[test]
fn an_amend_is_held_to_the_same_bounds() {
    let instrument = instrument();
    let check = |price: Option<&str>, qty: &str| check_amended(&instrument, price.map(number), number(qty));
    assert_eq!(check(Some("10"), "20"), Ok(()));
    assert_eq!(check(None, "2"), Ok(()), "what it is worth is not known");
    assert!(matches!(check(Some("10.2"), "20"), Err(Refusal::OffTick { .. })));
    assert!(matches!(check(Some("10"), "1"), Err(Refusal::QtyRange { .. })));
    assert!(matches!(check(Some("1"), "2"), Err(Refusal::Notional { .. })));
    assert_eq!(check(Some("10"), "7"), Ok(()), "the grid of market orders is another");
}
