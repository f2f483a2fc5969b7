//! The workspace as cargo describes it, and the files that belong to it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::command;

pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the root, with `/` and without one at the end.
    pub(crate) folder: String,
    pub(crate) has_library: bool,
    /// Folders, relative to the root, of the packages it takes from this repository.
    pub(crate) siblings: Vec<String>,
}

impl Project {
    pub(crate) fn load() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask lies in no workspace")?;
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(root);
        Self::from_metadata(&command::output(&mut cargo)?)
    }

    pub(crate) fn from_metadata(metadata: &str) -> Result<Self, String> {
        let metadata: Value =
            serde_json::from_str(metadata).map_err(|error| format!("cargo metadata: {error}"))?;
        let root = text(&metadata, "workspace_root")?;
        let packages = list(&metadata, "packages")
            .iter()
            .map(|package| Package::from_metadata(package, root))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            root: PathBuf::from(root),
            target: PathBuf::from(text(&metadata, "target_directory")?),
            packages,
        })
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        self.root.join(file).exists()
    }

    /// All files that are or would be committed, relative to the root, sorted.
    pub(crate) fn files(&self) -> Result<Vec<String>, String> {
        let mut git = Command::new("git");
        git.current_dir(&self.root);
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        // A source archive has no git, and a machine need not have it.
        let Some(listed) =
            self.has(".git").then(|| command::output(&mut git)).transpose().unwrap_or_default()
        else {
            return files_below(&self.root);
        };
        let mut files: Vec<String> = listed
            .split_terminator('\0')
            .filter(|file| self.root.join(file).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }
}

impl Package {
    fn from_metadata(package: &Value, root: &str) -> Result<Self, String> {
        let manifest = text(package, "manifest_path")?;
        let folder = Path::new(manifest).parent().and_then(Path::to_str).unwrap_or_default();
        Ok(Self {
            name: text(package, "name")?.to_owned(),
            folder: relative(folder, root),
            has_library: list(package, "targets")
                .iter()
                .flat_map(|target| list(target, "kind"))
                .any(|kind| kind == "lib" || kind == "proc-macro"),
            siblings: list(package, "dependencies")
                .iter()
                .filter_map(|dependency| dependency["path"].as_str())
                .map(|path| relative(path, root))
                .collect(),
        })
    }

    pub(crate) fn is_crate(&self) -> bool {
        self.folder.starts_with("crates/")
    }
}

/// Without git: everything but build products.
fn files_below(root: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let failed = |error| format!("{}: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() && entry.file_name() != "target" && entry.file_name() != ".git" {
                folders.push(entry.path());
            } else if kind.is_file()
                && let Ok(path) = entry.path().strip_prefix(root)
                && let Some(path) = path.to_str()
            {
                files.push(path.replace('\\', "/"));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn relative(path: &str, root: &str) -> String {
    path.strip_prefix(root).unwrap_or(path).trim_start_matches(['/', '\\']).replace('\\', "/")
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value[key].as_str().ok_or_else(|| format!("cargo metadata: no {key}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}
