//! Requests counted and timed, the same way in every service.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::metrics::{Counter, Histogram, LATENCY_BOUNDS_SECONDS, Metrics};

type FaultKey = (&'static str, &'static str);

/// The request metrics of one service: `troupe_request_seconds` by operation, and
/// `troupe_request_faults_total` by operation and fault code.
#[derive(Debug)]
pub struct Requests {
    metrics: Metrics,
    seconds: RwLock<HashMap<&'static str, Histogram>>,
    faults: RwLock<HashMap<FaultKey, Counter>>,
}

impl Requests {
    /// Metrics that carry the service's name.
    pub fn new(metrics: &Metrics) -> Self {
        Self { metrics: metrics.clone(), seconds: RwLock::default(), faults: RwLock::default() }
    }

    /// One request of `operation` took so many seconds; `fault` is its code if it was refused.
    pub fn record(&self, operation: &'static str, seconds: f64, fault: Option<&'static str>) {
        // The guard must go before the slow path takes the lock for writing.
        let known = self.seconds.read().get(operation).map(|histogram| histogram.record(seconds));
        if known.is_none() {
            self.histogram(operation).record(seconds);
        }
        let Some(code) = fault else { return };
        let known = self.faults.read().get(&(operation, code)).map(Counter::increment);
        if known.is_none() {
            self.counter(operation, code).increment();
        }
    }

    fn histogram(&self, operation: &'static str) -> Histogram {
        let make = || {
            let labels = [("operation", operation)];
            let help = "Time from a request's arrival to its answer, in seconds.";
            self.metrics.histogram("troupe_request_seconds", help, &LATENCY_BOUNDS_SECONDS, &labels)
        };
        self.seconds.write().entry(operation).or_insert_with(make).clone()
    }

    fn counter(&self, operation: &'static str, code: &'static str) -> Counter {
        let make = || {
            let labels = [("operation", operation), ("code", code)];
            self.metrics.counter("troupe_request_faults_total", "Requests refused.", &labels)
        };
        self.faults.write().entry((operation, code)).or_insert_with(make).clone()
    }
}
