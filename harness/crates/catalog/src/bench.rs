//! The microbenchmarks of the workspace: those that a package names in its manifest.

use anyhow::{Context, Result};
use cargo_metadata::{MetadataCommand, PackageId};
use serde::Deserialize;

use super::{Catalog, Source};

/// The member of `[package.metadata]` that lists them.
const MEMBER: &str = "microbench";

/// The microbenchmarks of one package.
#[derive(Debug, Clone)]
pub struct Benches {
    /// Cargo's package id.
    pub id: PackageId,
    /// The package's name.
    pub package: String,
    /// The server that it is; other packages belong to all.
    pub server: Option<String>,
    /// Names of its bench targets, as in `handlers`.
    pub targets: Vec<String>,
}

impl Catalog {
    /// Those of every package that lists some in its manifest, as `microbench = ["handlers"]` under
    /// `[package.metadata]`; servers first.
    ///
    /// # Errors
    /// If cargo can't read the workspace, or a list is not one of names.
    pub fn benches(&self) -> Result<Vec<Benches>> {
        let metadata = MetadataCommand::new()
            .manifest_path(self.root.join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("cannot read the workspace")?;
        let mut found = Vec::new();
        for package in metadata.workspace_packages() {
            let Some(list) = package.metadata.get(MEMBER) else {
                continue;
            };
            let targets = Vec::deserialize(list).with_context(|| {
                format!(
                    "{}: {MEMBER} is a list of bench targets",
                    package.manifest_path
                )
            })?;
            found.push(Benches {
                id: package.id.clone(),
                package: package.name.to_string(),
                server: self.server_of(&package.id),
                targets,
            });
        }
        found.sort_by_key(|benches| (benches.server.is_none(), benches.package.clone()));
        Ok(found)
    }

    fn server_of(&self, package: &PackageId) -> Option<String> {
        let is_it = |source: &Source| matches!(source, Source::Package { id, .. } if id == package);
        let server = self.servers.iter().find(|server| is_it(&server.source))?;
        Some(server.name.clone())
    }
}
