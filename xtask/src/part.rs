//! Programs that only the checks need, fetched the way Troupe's own parts are.

use troupe_parts::{Part, Platform, Wheel};

const MEMBER: &str = "typos-1.52.0.data/scripts/typos";

/// The spelling checker. Never one from PATH: another version knows other words.
pub(crate) const TYPOS: Part = Part {
    name: "typos",
    version: "1.52.0",
    variable: "XTASK_TYPOS",
    file: "typos",
    package: "typos",
    wheels: &[
        typos(
            "linux",
            "x86_64",
            "418fd85f7fc11dec14e5482e747f6e916af56da96207cde0cdd69540a4b389f6",
        ),
        typos(
            "linux",
            "aarch64",
            "5e870133c7e9cace94183e4d638697004a1473e79abcd01b8f75e362049a9b5c",
        ),
        typos(
            "macos",
            "x86_64",
            "791d8778c4cb07f7a3f759ac65db09f6285aa480598bff42cfca2a32b0953200",
        ),
        typos(
            "macos",
            "aarch64",
            "257324274303a459fef79978cae942568419d2e8b18519e5f66b93a7e2df2ba1",
        ),
    ],
    installed: None,
};

const fn typos(os: &'static str, arch: &'static str, sha256: &'static str) -> Wheel {
    let platform = Some(Platform { os, arch });
    Wheel { platform, tag: None, sha256, member: MEMBER, content: None }
}
