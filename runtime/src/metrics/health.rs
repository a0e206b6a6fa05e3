//! `/healthz`: is it ready, and if not, why?

use serde_json::json;
use tradingsys::gateway::gauges::Condition;
use tradingsys_logger::redact;

/// The page, and whether it says that all is well. Without a condition the loop does not answer.
pub(super) fn page(condition: Option<&Condition>) -> (bool, String) {
    let problem = |kind: &str, reason: &str| json!({"kind": kind, "reason": redact::text(reason)});
    let problems: Vec<_> = match condition {
        Some(condition) => condition.problems.iter().map(|one| problem(one.kind, &one.reason)).collect(),
        None => vec![problem("loop_stuck", "the gateway's loop does not answer")],
    };
    let ready = problems.is_empty();
    let not_ready: Vec<_> = condition.into_iter().flat_map(|c| &c.not_ready).collect();
    let page = json!({"ready": ready, "problems": problems, "not_ready": not_ready});
    (ready, format!("{page}\n"))
}

#[cfg(test)]
mod tests {
    use tradingsys::gateway::gauges::Problem;

    use super::*;

    #[test]
    fn it_is_ready_without_a_problem_and_says_each() {
        assert_eq!(
            page(Some(&Condition::default())),
            (true, "{\"not_ready\":[],\"problems\":[],\"ready\":true}\n".to_owned())
        );
        let problems = vec![Problem { kind: "link_down", reason: "no \"route\", token=abc".to_owned() }];
        let (ready, text) = page(Some(&Condition { problems, not_ready: Vec::new() }));
        assert!(!ready && text.contains(r#""reason":"no \"route\", token=***""#), "{text}");
        let (ready, text) = page(None);
        assert!(!ready && text.contains("loop_stuck"), "{text}");
    }
}
