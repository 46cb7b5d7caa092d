//! What a person sees while a part is fetched: nothing at all when it is already there.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use crate::part::Part;

const SPINNER_TICK_MS: u64 = 100;

/// How a fetch is shown, on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// A spinner on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Nothing.
    Silent,
}

/// One fetch, being shown.
pub(crate) enum Shown {
    Spinner(ProgressBar),
    Lines(String),
    Nothing,
}

impl Progress {
    /// Announces that `part` is about to be fetched.
    pub(crate) fn begin(self, part: &Part) -> Shown {
        let text = format!("fetching {part}");
        match self {
            Self::Silent => Shown::Nothing,
            Self::Auto if std::io::stderr().is_terminal() => {
                let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
                let bar = ProgressBar::new_spinner().with_message(text);
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                bar.enable_steady_tick(Duration::from_millis(SPINNER_TICK_MS));
                Shown::Spinner(bar)
            }
            Self::Auto => {
                eprintln!("{text} ...");
                Shown::Lines(part.to_string())
            }
        }
    }
}

impl Shown {
    /// The part is in place.
    pub(crate) fn done(self) {
        match self {
            Self::Spinner(bar) => bar.finish_and_clear(),
            Self::Lines(part) => eprintln!("fetched {part}"),
            Self::Nothing => {}
        }
    }

    /// The fetch failed; the error itself is the caller's to show.
    pub(crate) fn failed(self) {
        if let Self::Spinner(bar) = self {
            bar.finish_and_clear();
        }
    }
}
