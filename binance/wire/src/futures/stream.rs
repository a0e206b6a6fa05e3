//! Names, routes and shapes of this market's streams, where they differ from spot's.

use serde::Deserialize;
use tradingsys::market::{Channel, Depth, Level, Stream};
use tradingsys::num::{Price, Qty};
use tradingsys::time::Time;

use crate::reply::{Malformed, read};

/// Over which of the venue's routes a stream comes. A name asked for on the wrong one is confirmed, and stays silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Books and trades.
    Public,
    /// Bars and mark prices.
    Market,
}

/// The route of a channel.
pub const fn route(channel: Channel) -> Route {
    match channel {
        Channel::Depth | Channel::DepthFast | Channel::Bbo | Channel::Trade | Channel::Book => Route::Public,
        Channel::Kline(_) | Channel::Mark => Route::Market,
    }
}

/// The venue's name of a stream.
pub fn stream_name(stream: &Stream) -> String {
    match stream.channel {
        Channel::Depth => format!("{}@depth20@500ms", stream.symbol),
        _ => crate::stream::stream_name(stream),
    }
}

/// Reads a partial depth, which comes in the shape of a change of the book.
///
/// # Errors
/// [`Malformed`] if it is none.
pub fn depth(data: &str, received: Time) -> Result<Depth, Malformed> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "E")]
        time: Option<i64>,
        u: u64,
        b: Vec<(Price, Qty)>,
        a: Vec<(Price, Qty)>,
    }
    let raw: Raw = read("a partial depth", data)?;
    let levels =
        |pairs: Vec<(Price, Qty)>| pairs.into_iter().map(|(price, qty)| Level { price, qty }).collect();
    Ok(Depth {
        update_id: raw.u,
        time: raw.time.map_or(received, Time::from_millis),
        bids: levels(raw.b),
        asks: levels(raw.a),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_depth_is_read_with_its_own_time() {
        let data = r#"{"e":"depthUpdate","E":1571889248277,"T":1571889248276,"s":"BTCUSDT","U":390497796,
            "u":390497878,"pu":390497794,"b":[["7403.89","0.002"],["7403.90","3.906"]],"a":[["7405.96","3.340"]],
            "ps":"BTCUSDT","st":1}"#;
        let depth = depth(data, Time::default()).unwrap();
        assert_eq!((depth.update_id, depth.time), (390_497_878, Time::from_millis(1_571_889_248_277)));
        assert_eq!((depth.bids.len(), depth.asks.len()), (2, 1));
        assert_eq!(depth.asks[0].price, "7405.96".parse().unwrap());
    }
}
