//! Limited-memory BFGS for smooth convex functions.
//!
//! Own code, because what exists brings a framework: two loops over a short history and a line
//! search that halves. Deterministic: no threads, and sums in a fixed order.

use std::collections::VecDeque;

use crate::vector::dot_exact;

/// Pairs of steps and gradient changes that stand for the curvature.
const HISTORY: usize = 10;
/// Times that one step is made shorter before the search gives up.
const SHORTER_MAX: usize = 20;
/// The share of the promised decrease that a step must bring.
const ARMIJO: f64 = 1e-4;
/// A decrease below this share of the value is noise of single precision.
const DECREASE_MIN: f64 = 1e-8;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Steps at most.
    pub(crate) iterations_max: usize,
    /// The largest part of the gradient at which a point counts as the minimum.
    pub(crate) gradient_max: f64,
}

/// One step of the past.
struct Pair {
    step: Vec<f32>,
    change: Vec<f32>,
    inverse: f64,
}

/// Moves `point` towards the minimum of `function`, which fills in the gradient and returns the
/// value. Returns the steps that it took.
pub(crate) fn minimise(
    point: &mut Vec<f32>,
    limits: Limits,
    mut function: impl FnMut(&[f32], &mut [f32]) -> f64,
) -> usize {
    let mut gradient = vec![0.0_f32; point.len()];
    let mut value = function(point, &mut gradient);
    let mut past: VecDeque<Pair> = VecDeque::with_capacity(HISTORY);
    for iteration in 0..limits.iterations_max {
        if largest(&gradient) <= limits.gradient_max {
            return iteration;
        }
        let mut direction = downhill(&gradient, &past);
        let mut slope = dot_exact(&direction, &gradient);
        if slope >= 0.0 {
            // Rounding spoilt the curvature: forget it.
            past.clear();
            direction = gradient.iter().map(|part| -part).collect();
            slope = dot_exact(&direction, &gradient);
        }
        let mut length = if past.is_empty() { (1.0 / slope.abs().sqrt()).min(1.0) } else { 1.0 };
        let mut next = vec![0.0_f32; point.len()];
        let mut next_gradient = vec![0.0_f32; point.len()];
        let mut found = None;
        for _ in 0..SHORTER_MAX {
            for ((to, from), d) in next.iter_mut().zip(point.iter()).zip(&direction) {
                *to = from + length as f32 * d;
            }
            let at = function(&next, &mut next_gradient);
            if at.is_finite() && at <= value + ARMIJO * length * slope {
                found = Some(at);
                break;
            }
            length *= shrink(value, slope, length, at);
        }
        let Some(next_value) = found else { return iteration };
        remember(&mut past, (point, &gradient), (&next, &next_gradient));
        let decrease = value - next_value;
        *point = next;
        gradient = next_gradient;
        value = next_value;
        if decrease <= DECREASE_MIN * value.abs().max(1e-3) {
            return iteration + 1;
        }
    }
    limits.iterations_max
}

/// Where the parabola through what is known has its lowest point, between a tenth and a half.
fn shrink(value: f64, slope: f64, length: f64, at: f64) -> f64 {
    let bend = 2.0 * (at - value - slope * length);
    let share = -slope * length / bend;
    if share.is_finite() { share.clamp(0.1, 0.5) } else { 0.1 }
}

fn remember(past: &mut VecDeque<Pair>, from: (&[f32], &[f32]), to: (&[f32], &[f32])) {
    let between =
        |a: &[f32], b: &[f32]| -> Vec<f32> { b.iter().zip(a).map(|(b, a)| b - a).collect() };
    let step = between(from.0, to.0);
    let change = between(from.1, to.1);
    let curvature = dot_exact(&step, &change);
    if curvature <= f64::EPSILON * dot_exact(&change, &change) {
        return;
    }
    if past.len() == HISTORY {
        past.pop_front();
    }
    past.push_back(Pair { step, change, inverse: 1.0 / curvature });
}

/// The two loops: the gradient, turned by what is known of the curvature, downwards.
fn downhill(gradient: &[f32], past: &VecDeque<Pair>) -> Vec<f32> {
    let mut direction: Vec<f32> = gradient.iter().map(|part| -part).collect();
    let mut shares = Vec::with_capacity(past.len());
    for pair in past.iter().rev() {
        let share = pair.inverse * dot_exact(&pair.step, &direction);
        add(&mut direction, -share, &pair.change);
        shares.push(share);
    }
    if let Some(last) = past.back() {
        let scale = 1.0 / (last.inverse * dot_exact(&last.change, &last.change));
        direction.iter_mut().for_each(|part| *part *= scale as f32);
    }
    for (pair, share) in past.iter().zip(shares.into_iter().rev()) {
        let back = pair.inverse * dot_exact(&pair.change, &direction);
        add(&mut direction, share - back, &pair.step);
    }
    direction
}

fn add(to: &mut [f32], factor: f64, from: &[f32]) {
    let factor = factor as f32;
    to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
}

fn largest(gradient: &[f32]) -> f64 {
    f64::from(gradient.iter().fold(0.0_f32, |most, part| most.max(part.abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { iterations_max: 200, gradient_max: 1e-5 };

    #[test]
    fn finds_the_bottom_of_a_stretched_bowl() {
        // Curvatures from 1 to 1,000: plain gradient descent would take thousands of steps.
        let mut point = vec![1.0_f32; 20];
        let steps = minimise(&mut point, LIMITS, |x, gradient| {
            let mut value = 0.0;
            for (i, (part, slope)) in x.iter().zip(gradient).enumerate() {
                let curvature = 1000_f64.powf(i as f64 / 19.0);
                let off = f64::from(*part) - i as f64;
                value += 0.5 * curvature * off * off;
                *slope = (curvature * off) as f32;
            }
            value
        });
        for (i, part) in point.iter().enumerate() {
            assert!((part - i as f32).abs() < 1e-2, "{i}: {part} after {steps}");
        }
        assert!(steps < LIMITS.iterations_max);
    }

    #[test]
    fn stays_where_nothing_improves() {
        let mut point = vec![3.0_f32];
        let steps = minimise(&mut point, LIMITS, |_, gradient| {
            gradient[0] = 0.0;
            1.0
        });
        assert_eq!((steps, point), (0, vec![3.0]));
    }
}
