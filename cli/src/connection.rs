//! From the global options to a connection.

use anyhow::Result;
use troupe_client::{CallOptions, Settings, Troupe};
use troupe_domain::Name;

use crate::args::Global;

/// The name of a person's tool where nobody said another.
const DEFAULT_NAME: &str = "operator";

impl Global {
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            url: self.nats_url.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            credentials_file: self.creds.clone(),
        }
    }

    /// Connects under the name given, or as the operator.
    pub(crate) async fn connect(&self) -> Result<Troupe> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => Name::parse(DEFAULT_NAME)?,
        };
        self.connect_as(name).await
    }

    /// Connects under `name`.
    pub(crate) async fn connect_as(&self, name: Name) -> Result<Troupe> {
        Ok(Troupe::connect(&self.settings(), name).await?)
    }

    pub(crate) fn call_options(&self) -> CallOptions {
        CallOptions::within(self.timeout())
    }
}
