//! Fitting thresholds: how sure a route must be so that the wanted share of what it takes is right.
//!
//! On labelled examples where there are some, or else on the routes' own utterances, each judged by a
//! router that has not seen it. Invariant: nothing is kept of a dry run; what is kept is durable, and
//! what was declared goes before it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::try_join_all;
use troupe_contract::routing::{FitReply, FitRequest, FittedRoute, LabelledText};
use troupe_domain::{AgentId, Code, Fault, Name};
use troupe_intent::{Labelled, Router, Settings};

use super::knowledge::Knowledge;
use super::learning::{Progress, Taught, on_a_thread};
use crate::store::routes::Decision;

/// Examples in one request.
pub const MAX_FIT_EXAMPLES: usize = 20_000;
/// Thresholds that are stored at once.
const STORED_AT_ONCE: usize = 32;
/// Thresholds that differ by less are the same.
const SAME_THRESHOLD: f64 = 1e-4;

impl Knowledge {
    pub(super) async fn fit(
        &self,
        caller: &AgentId,
        request: FitRequest,
    ) -> Result<FitReply, Fault> {
        let precision = request.precision.unwrap_or(f64::from(self.config.router.precision));
        if !(0.0..=1.0).contains(&precision) {
            return Err(Fault::invalid("precision", "must be within 0 and 1"));
        }
        if request.examples.len() > MAX_FIT_EXAMPLES {
            let fault = Fault::exhausted("MAX_FIT_EXAMPLES", MAX_FIT_EXAMPLES);
            return Err(fault.with("field", "examples"));
        }
        let wanted: BTreeSet<&Name> = request.route_ids.iter().collect();
        for route in &wanted {
            self.target(route)?;
        }
        let taught = match self.school.progress() {
            Progress::Ready(taught) => taught,
            Progress::Not(why) => {
                return Err(Fault::new(Code::Unavailable, format!("cannot fit: {why}")));
            }
        };
        let precision = precision as f32;
        let mut reply = if request.examples.is_empty() {
            own_utterances(taught, self.config.router, precision).await?
        } else {
            self.examples(taught, &request.examples, precision).await?
        };
        reply.routes.retain(|route| wanted.is_empty() || wanted.contains(&route.route_id));
        if !request.dry_run {
            self.keep(caller, &reply.routes).await?;
        }
        Ok(reply)
    }

    async fn examples(
        &self,
        taught: Arc<Taught>,
        examples: &[LabelledText],
        precision: f32,
    ) -> Result<FitReply, Fault> {
        let texts: Vec<String> = examples.iter().map(|example| example.text.clone()).collect();
        let vectors = self.school.embedder.embed_many(&texts).await.map_err(|fault| {
            let index = fault.details.get("index").and_then(serde_json::Value::as_u64);
            match index {
                Some(index) if fault.code == Code::InvalidArgument => {
                    Fault::invalid(&format!("examples[{index}].text"), "says nothing")
                }
                _ => fault,
            }
        })?;
        let labelled: Vec<Labelled> = vectors
            .iter()
            .zip(examples)
            .map(|(vector, example)| Labelled {
                vector: vector.as_slice().to_vec(),
                route: example.route_id.as_ref().map(Name::to_string),
            })
            .collect();
        let assessment = on_a_thread(move || {
            let router = taught.router.as_ref().ok_or_else(nothing_to_fit)?;
            router.assess(&labelled, precision)
        })
        .await??;
        let routes = assessment.routes.into_iter().filter(|route| route.examples > 0);
        let routes = routes.map(|route| {
            let measured = (route.precision, route.recall);
            fitted(&route.route, route.threshold, measured, route.examples)
        });
        Ok(FitReply {
            routes: routes.collect::<Result<_, _>>()?,
            accuracy: f64::from(assessment.accuracy),
            out_of_scope_auroc: assessment.out_of_scope_auroc.map(f64::from),
            calibration_error: f64::from(assessment.calibration_error),
        })
    }

    /// Stores what was fitted.
    async fn keep(&self, caller: &AgentId, routes: &[FittedRoute]) -> Result<(), Fault> {
        for some in routes.chunks(STORED_AT_ONCE) {
            try_join_all(some.iter().map(|fitted| self.keep_one(caller, fitted))).await?;
        }
        Ok(())
    }

    async fn keep_one(&self, caller: &AgentId, fitted: &FittedRoute) -> Result<(), Fault> {
        let id = &fitted.route_id;
        let changed = self.routes.change(id, caller, |table, now| {
            let former = table.get(id).and_then(|entry| entry.fitted);
            let same = former.is_some_and(|is| (is - fitted.threshold).abs() < SAME_THRESHOLD);
            Ok(if same {
                Decision::Keep(())
            } else {
                Decision::Write(Box::new(table.fitting(id, fitted.threshold, now)), ())
            })
        });
        changed.await.map(|_| ())
    }
}

/// What cross-validation says of the routes' own utterances.
async fn own_utterances(
    taught: Arc<Taught>,
    settings: Settings,
    precision: f32,
) -> Result<FitReply, Fault> {
    let fit = on_a_thread(move || {
        let examples = taught.examples.as_ref().ok_or_else(nothing_to_fit)?;
        let settings = Settings { precision, ..settings };
        Router::fit(examples, &settings, taught.router.as_ref()).map(|(_, fit)| fit)
    })
    .await??;
    let routes = fit.routes.iter().map(|route| {
        let measured = (route.precision, route.recall);
        fitted(&route.route, route.threshold, measured, route.examples)
    });
    Ok(FitReply {
        routes: routes.collect::<Result<_, _>>()?,
        accuracy: f64::from(fit.accuracy),
        out_of_scope_auroc: None,
        calibration_error: f64::from(fit.calibration_error),
    })
}

fn fitted(
    route: &str,
    threshold: f32,
    (precision, recall): (Option<f32>, Option<f32>),
    examples: usize,
) -> Result<FittedRoute, Fault> {
    Ok(FittedRoute {
        route_id: Name::parse_field("route_id", route)?,
        threshold: f64::from(threshold),
        precision: f64::from(precision.unwrap_or(0.0)),
        recall: f64::from(recall.unwrap_or(0.0)),
        examples: examples as u64,
    })
}

fn nothing_to_fit() -> Fault {
    Fault::precondition("there is no route to fit: none is declared, and no agent offers anything")
}
