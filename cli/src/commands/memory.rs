//! `troupe memory`: remember, find, take back, delete, carry elsewhere.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use troupe_domain::memory::{MemoryId, Namespace, TrustLevel};

use super::memory_read::{self, SearchArgs};
use super::memory_write::{self, CreateArgs, UpdateArgs};
use crate::args::Global;
use crate::output::from_word;

#[derive(Debug, Subcommand)]
pub(crate) enum MemoryCommand {
    /// Remember something.
    #[command(alias = "add")]
    Create(CreateArgs),
    /// Show one entry.
    Get {
        /// The entry.
        id: MemoryId,
        /// Where it belongs [default: found anywhere].
        #[arg(long)]
        namespace: Option<Namespace>,
    },
    /// Find entries by words and by meaning.
    Search(SearchArgs),
    /// List entries.
    List {
        /// Where [default: default].
        #[arg(long)]
        namespace: Option<Namespace>,
        /// At most so many.
        #[arg(long)]
        limit: Option<usize>,
        /// Only ids after this one.
        #[arg(long, value_name = "ID")]
        after: Option<MemoryId>,
    },
    /// Change an entry of one's own.
    Update(UpdateArgs),
    /// Take an entry back, with everything that derives from it.
    Retract {
        /// The entry.
        id: MemoryId,
        /// Why.
        reason: String,
        /// Where it belongs [default: found anywhere].
        #[arg(long)]
        namespace: Option<Namespace>,
    },
    /// Say how far an entry of somebody else is to be believed.
    Verify {
        /// The entry.
        id: MemoryId,
        /// How far [default: verified].
        #[arg(long, value_parser = from_word::<TrustLevel>)]
        trust: Option<TrustLevel>,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
        /// Where it belongs [default: found anywhere].
        #[arg(long)]
        namespace: Option<Namespace>,
    },
    /// Delete an entry from every tier.
    Delete {
        /// The entry.
        id: MemoryId,
        /// Why. It is kept: it must not repeat what is deleted.
        #[arg(long)]
        reason: Option<String>,
        /// Where it belongs [default: found anywhere].
        #[arg(long)]
        namespace: Option<Namespace>,
    },
    /// Show the proof of a deletion: how far it is in each tier.
    Deletion {
        /// The entry.
        id: MemoryId,
        /// Where it belonged [default: found anywhere].
        #[arg(long)]
        namespace: Option<Namespace>,
    },
    /// List entries that say the opposite of each other.
    Conflicts {
        /// Where [default: default].
        #[arg(long)]
        namespace: Option<Namespace>,
    },
    /// Find what helped before with what holds somebody up now.
    Suggest {
        /// The blocker, in words.
        problem: String,
        /// Where [default: default].
        #[arg(long)]
        namespace: Option<Namespace>,
    },
    /// Print all entries of a namespace as JSON Lines.
    Export {
        /// Where [default: default].
        #[arg(long)]
        namespace: Option<Namespace>,
    },
    /// Take entries in that were exported as JSON Lines.
    Import {
        /// The file; `-` reads standard input.
        file: PathBuf,
        /// Where they go [default: where each says that it belongs].
        #[arg(long)]
        namespace: Option<Namespace>,
    },
    /// List the namespaces, with what they hold and may hold.
    Namespaces,
    /// Say how much a namespace may hold.
    Quota {
        /// The namespace.
        namespace: Namespace,
        /// Entries [default: what the service's configuration says].
        #[arg(long, value_name = "COUNT")]
        max_entries: Option<u64>,
        /// Bytes of contents [default: what the service's configuration says].
        #[arg(long, value_name = "BYTES")]
        max_bytes: Option<u64>,
    },
    /// Count what is there, and say what works.
    Stats,
}

pub(crate) async fn run(global: &Global, command: MemoryCommand) -> Result<ExitCode> {
    use MemoryCommand as C;
    match command {
        C::Create(args) => memory_write::create(global, args).await?,
        C::Update(args) => memory_write::update(global, args).await?,
        C::Retract { id, reason, namespace } => {
            memory_write::retract(global, id, reason, namespace).await?;
        }
        C::Verify { id, trust, reason, namespace } => {
            memory_write::verify(global, id, trust, reason, namespace).await?;
        }
        C::Delete { id, reason, namespace } => {
            memory_write::delete(global, id, reason, namespace).await?;
        }
        C::Quota { namespace, max_entries, max_bytes } => {
            memory_write::quota(global, namespace, max_entries, max_bytes).await?;
        }
        C::Import { file, namespace } => memory_write::import(global, &file, namespace).await?,
        C::Get { id, namespace } => memory_read::get(global, id, namespace).await?,
        C::Search(args) => memory_read::search(global, args).await?,
        C::List { namespace, limit, after } => {
            memory_read::list(global, namespace, limit, after).await?;
        }
        C::Deletion { id, namespace } => memory_read::deletion(global, id, namespace).await?,
        C::Conflicts { namespace } => memory_read::conflicts(global, namespace).await?,
        C::Suggest { problem, namespace } => {
            memory_read::suggest(global, problem, namespace).await?;
        }
        C::Export { namespace } => memory_read::export(global, namespace).await?,
        C::Namespaces => memory_read::namespaces(global).await?,
        C::Stats => memory_read::stats(global).await?,
    }
    Ok(ExitCode::SUCCESS)
}
