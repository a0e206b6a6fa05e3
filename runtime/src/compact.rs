//! `compact`: the journal without the texts of events that were acknowledged longer ago than they are kept for.

use std::path::Path;

use crate::cli::show;
use crate::clock::Clock;
use crate::exit::Exit;
use crate::files::FolderLock;
use crate::store::{compact as store, journal};
use crate::{Product, run};

/// Compacts the journal and says what that saved.
pub(crate) fn compact(product: &'static Product, file: &Path) -> Result<(), Exit> {
    let config = run::configured(product, file)?;
    let folder = &config.db;
    if !folder.join(journal::FILE).exists() {
        let message = format!("no {} in {}; nothing to compact", journal::FILE, folder.display());
        return Err(Exit::configuration(message));
    }
    let _lock = FolderLock::take(folder)?;
    crate::store::check_library().map_err(|error| Exit::failure(error.to_string()))?;
    let done = store::compact(folder, Clock::new().now() - config.retention)?;
    let store::Done { emptied, without_text, records, before, after } = done;
    show(&format!(
        "ok   compact: {emptied} records lost their text; {without_text} of {records} are without"
    ));
    let saved = before.saturating_sub(after);
    show(&format!("ok   {}: {before} bytes before, {after} after, {saved} saved", journal::FILE));
    Ok(())
}
