//! What is listed: USDT-margined linear perpetuals, with their margin brackets and funding.

use crate::exchange::config::{Listing, PercentPrice, Rate};
use crate::instrument::InstrumentStatus;
use crate::market::{Stp, words};
use crate::num::{self, Cash, Price};
use crate::time::{Span, Time};

words! {
    /// What may be done with a contract.
    ContractStatus {
        /// Announced: nothing yet.
        PendingTrading = "PENDING_TRADING",
        /// Everything.
        Trading = "TRADING",
        /// Cancels only.
        CancelOnly = "CANCEL_ONLY",
        /// About to end: cancels only.
        PreSettle = "PRE_SETTLE",
        /// Being settled: nothing.
        Settling = "SETTLING",
        /// Ended.
        Close = "CLOSE",
    }
}

impl ContractStatus {
    /// What the engine makes of it.
    pub(super) const fn instrument(self) -> InstrumentStatus {
        match self {
            Self::Trading => InstrumentStatus::Trading,
            Self::CancelOnly | Self::PreSettle => InstrumentStatus::CancelOnly,
            Self::PendingTrading | Self::Settling | Self::Close => InstrumentStatus::Halted,
        }
    }
}

/// A step of the margin ladder: holds for positions of a notional above the previous step's cap and up to its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bracket {
    /// Largest notional.
    pub cap: Cash,
    /// Largest leverage.
    pub max_leverage: u32,
    /// Share of the notional that must be left as margin.
    pub maintenance: Rate,
    /// What is taken off that, so that it is continuous over the steps.
    pub deduction: Cash,
}

/// One perpetual as the exchange offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Its instrument, limits and book. Its price band is around the mark price.
    pub listing: Listing,
    /// The margin ladder, rising; never empty.
    pub brackets: Vec<Bracket>,
    /// Share of its notional that closing a liquidated position costs.
    pub liquidation_fee: Rate,
    /// A market order is refused if the best price is farther than this from the mark price; zero: never.
    pub market_take_bound: Rate,
    /// A conditional order with price protection waits while last and mark price differ by more than this.
    pub trigger_protect: Rate,
    /// Time between two funding payments.
    pub funding_interval: Span,
    /// Part of the funding rate that does not come from the premium.
    pub interest: Rate,
    /// The funding rate's largest size.
    pub funding_cap: Rate,
    /// What may be done.
    pub status: ContractStatus,
}

impl Contract {
    /// The listing as a usual perpetual: a ladder from 125 times to once, funding every eight hours.
    pub fn new(mut listing: Listing) -> Self {
        let step = |cap, max_leverage, points, deduction| Bracket {
            cap: Cash::whole(cap),
            max_leverage,
            maintenance: Rate::basis_points(points),
            deduction: Cash::whole(deduction),
        };
        let ladder = [
            step(50_000, 125, 40, 0),
            step(500_000, 100, 50, 50),
            step(10_000_000, 50, 100, 2_550),
            step(80_000_000, 20, 250, 152_550),
            step(150_000_000, 10, 500, 2_152_550),
            step(300_000_000, 5, 1_000, 9_652_550),
            step(1_000_000_000, 1, 2_500, 54_652_550),
        ];
        let (up, down) = (Price::from_raw(10_500_000_000), Price::from_raw(9_500_000_000));
        let band = PercentPrice { bid_up: up, bid_down: down, ask_up: up, ask_down: down };
        listing.limits.percent_price.get_or_insert(band);
        listing.limits.max_amends = 10_000;
        listing.default_stp = Stp::ExpireMaker;
        listing.allowed_stp.retain(|stp| *stp != Stp::Decrement);
        Self {
            listing,
            brackets: ladder.into(),
            liquidation_fee: Rate::basis_points(125),
            market_take_bound: Rate::basis_points(500),
            trigger_protect: Rate::basis_points(500),
            funding_interval: Span::from_secs(8 * 3_600),
            interest: Rate::basis_points(1),
            funding_cap: Rate::basis_points(200),
            status: ContractStatus::Trading,
        }
    }

    /// The step that holds for a position of this notional; the last one beyond the ladder.
    pub fn bracket(&self, notional: Cash) -> Option<&Bracket> {
        let within = |bracket: &&Bracket| notional.abs() <= bracket.cap;
        self.brackets.iter().find(within).or(self.brackets.last())
    }

    /// The largest notional allowed at this leverage.
    pub fn max_notional(&self, leverage: u32) -> Cash {
        let allowed = self.brackets.iter().rev().find(|bracket| bracket.max_leverage >= leverage);
        allowed.map_or(Cash::ZERO, |bracket| bracket.cap)
    }

    /// The largest leverage of the ladder.
    pub fn max_leverage(&self) -> u32 {
        self.brackets.iter().map(|bracket| bracket.max_leverage).max().unwrap_or(1)
    }

    /// Margin a position of this notional must keep.
    pub fn maintenance(&self, notional: Cash) -> Cash {
        let of = |b: &Bracket| notional.abs().at_rate(i128::from(b.maintenance.raw()), 8) - b.deduction;
        self.bracket(notional).map_or(Cash::ZERO, of).max(Cash::ZERO)
    }
}

/// The prices a contract is valued by, and the funding rate as it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Mark price; zero while it is not known.
    pub mark: Price,
    /// Index price; zero while it is not known.
    pub index: Price,
    /// What the next funding payment would be if it were now; signed, at eight decimals.
    pub rate: num::Rate,
    /// When it is; zero while there is no index.
    pub next_funding: Time,
}

/// A funding payment that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FundingRate {
    /// When.
    pub time: Time,
    /// The rate; signed: longs pay shorts if it is positive.
    pub rate: num::Rate,
    /// The mark price it was paid on.
    pub mark: Price,
}
