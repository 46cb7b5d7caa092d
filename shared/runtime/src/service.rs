//! The entry of a service's own binary: flags, configuration, runtime, signals, exit code.

use std::{ffi::OsString, io::Write as _, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args as _, Command, FromArgMatches as _};

use crate::{
    config::{CommonFlags, LoadOptions, load, printable},
    host::{Host, ServiceConfig, ServiceContext},
    shutdown::Signals,
};

/// What aborted tasks have to let go of what they hold.
const ABORT_WAIT: Duration = Duration::from_millis(100);

/// Runs one service until it is told to stop. Give it the name, such as `troupe-registry`, the
/// version, and the service's `run`; return what it returns from `main`.
pub fn main<T, R, F>(service: &'static str, version: &'static str, run: R) -> ExitCode
where
    T: ServiceConfig,
    R: FnOnce(ServiceContext, T) -> F,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    main_from(std::env::args_os(), service, version, run)
}

/// Like [`main`], with the arguments given: the program's name first.
pub fn main_from<T, R, F>(
    arguments: impl IntoIterator<Item = OsString>,
    service: &'static str,
    version: &'static str,
    run: R,
) -> ExitCode
where
    T: ServiceConfig,
    R: FnOnce(ServiceContext, T) -> F,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let command = CommonFlags::augment_args(Command::new(service).version(version));
    let flags = match command.try_get_matches_from(arguments) {
        Ok(matches) => CommonFlags::from_arg_matches(&matches),
        Err(why) => Err(why),
    };
    let flags = match flags {
        Ok(flags) => flags,
        Err(why) => {
            // A closed terminal is no reason for another exit code.
            let _ = why.print();
            return u8::try_from(why.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match start(service, version, &flags, run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "{service}: {why:#}");
            ExitCode::FAILURE
        }
    }
}

fn start<T, R, F>(
    service: &'static str,
    version: &'static str,
    flags: &CommonFlags,
    run: R,
) -> anyhow::Result<()>
where
    T: ServiceConfig,
    R: FnOnce(ServiceContext, T) -> F,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut options = LoadOptions::<T>::new(service);
    options.file.clone_from(&flags.config);
    options.flags = flags.overrides()?;
    let config = load(options)?;
    if flags.print_config {
        writeln!(std::io::stdout(), "{}", printable(&config)?)?;
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name(service)
        .build()
        .context("cannot start the threads")?;
    let result = runtime.block_on(async {
        let signals = Signals::listen().context("cannot listen for signals")?;
        let host = Host::start(service, version, config.as_ref()).await?;
        host.add(service, version, config, run)?;
        anyhow::Ok(host.run(signals).await?)
    });
    runtime.shutdown_timeout(ABORT_WAIT);
    result
}
