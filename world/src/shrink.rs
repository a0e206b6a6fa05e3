//! Makes a schedule that violates an invariant smaller, as long as it still violates one: fewer kinds of faults, fewer
//! strategies, less time, fewer commands. A smaller schedule draws other chances, so a few seeds of each are tried.

use tradingsys::time::Span;

use crate::plan::Plan;
use crate::world::Violation;

/// Seeds tried of each smaller schedule.
const SEEDS: u64 = 40;

/// The smallest schedule found, and what it violates. Another invariant than the first one's counts, too.
pub fn shrink(
    mut plan: Plan,
    mut violation: Violation,
    run: impl Fn(Plan) -> Option<Violation>,
) -> (Plan, Violation) {
    loop {
        let seeded = |plan: Plan| (0..SEEDS).map(move |k| Plan { seed: plan.seed + k, ..plan });
        // What violates another law is another find.
        let same = |plan: Plan| Some((plan, run(plan).filter(|found| found.law == violation.law)?));
        let found = smaller(plan).into_iter().flat_map(seeded).find_map(same);
        match found {
            Some(found) => (plan, violation) = found,
            None => return (plan, violation),
        }
    }
}

/// Schedules that are one step smaller.
fn smaller(plan: Plan) -> Vec<Plan> {
    let mut found = Vec::new();
    let mut faults = plan.faults;
    for k in 0..faults.each().len() {
        let mut without = plan;
        let each = without.faults.each();
        if *each[k].1 > 0 {
            *without.faults.each()[k].1 = 0;
            found.push(without);
        }
    }
    found.extend((plan.life.is_some()).then_some(Plan { life: None, ..plan }));
    found.extend((plan.settles).then_some(Plan { settles: false, ..plan }));
    found.extend((plan.hasty).then_some(Plan { hasty: false, ..plan }));
    found.extend((plan.strategies > 1).then(|| Plan { strategies: plan.strategies - 1, ..plan }));
    let half = Span::from_millis(plan.length.millis() / 2);
    found.extend((half.millis() >= 500).then_some(Plan { length: half, ..plan }));
    found.extend((plan.commands > 1).then_some(Plan { commands: plan.commands / 2, ..plan }));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_goes() {
        let violated =
            |after: i64| Violation { law: "a law", found: String::new(), after: Span::from_millis(after) };
        let run = |plan: Plan| {
            let bad = plan.faults.cut_link > 0 && plan.length >= Span::from_secs(5) && plan.strategies >= 2;
            bad.then(|| violated(plan.length.millis()))
        };
        let plan = (0..).map(Plan::of_seed).find(|plan| plan.faults.cut_link > 0).expect("one has it");
        let (small, violation) = shrink(plan, violated(0), run);
        let mut wanted = plan.calm();
        wanted.faults.cut_link = plan.faults.cut_link;
        wanted.length = Span::from_secs(5);
        (wanted.strategies, wanted.commands) = (2, 1);
        assert_eq!((small, violation), (wanted, violated(5_000)));
    }

    #[test]
    fn what_it_finds_breaks_the_same_law() {
        let found = |law| Violation { law, found: String::new(), after: Span::ZERO };
        let run = |plan: Plan| Some(found(if plan.commands > 9 { "a law" } else { "another" }));
        let (small, violation) = shrink(Plan::of_seed(1), found("a law"), run);
        assert!(small.commands > 9 && violation.law == "a law", "{small:?}");
    }
}
