//! `sluis chain export`: a workload as an in-toto statement in a DSSE envelope.

use sluis_chain::export::{Statement, StatementError};
use sluis_chain::token::Token;
use sluis_chain::workload::{Entry, WorkloadId};

use super::args::ExportArgs;
use super::read;
use crate::fail::Fail;
use crate::key;
use crate::output::Out;

/// Print the envelope.
pub(super) fn export(out: &mut Out, args: &ExportArgs) -> Result<(), Fail> {
    let secret = key::file::secret(&args.key)?;
    let mac = args.hmac_key.as_deref().map(key::file::mac).transpose()?;
    let named = args.workload.as_deref().map(id).transpose()?;
    let (mut lines, mut last) = (Vec::new(), None);
    read::lines(&args.file, |_, line| {
        // A broken line keeps its place: the statement says which it is.
        let line = line.and_then(|line| std::str::from_utf8(line).ok()).unwrap_or("?");
        match Token::parse(line).ok().as_ref().and_then(Entry::read) {
            Some(Ok(entry)) => last = Some(entry.workload_id()),
            Some(Err(_)) => {}
            // What is no business of a workload need not be kept.
            None => return lines.push(String::new()),
        }
        lines.push(line.to_owned());
    })?;
    let file = args.file.display();
    let Some(workload) = named.or(last) else {
        return Err(Fail::runtime(format!("{file} has no workload: `sluis chain new` or `run` begins one")));
    };
    let statement = Statement::of(lines.iter().map(String::as_str), Some(workload), mac.as_ref()).map_err(|why| {
        let mend = format!("see `sluis chain verify {file}`");
        match why {
            StatementError::NoWorkload => Fail::runtime(format!("{file} has no workload {workload}")),
            why => Fail::runtime(format!("{file} cannot be attested: {why}; {mend}")),
        }
    })?;
    let mut envelope = statement.envelope();
    envelope.sign(&secret).map_err(Fail::runtime)?;
    let json = envelope.to_json();
    out.line(|line, _| line.extend_from_slice(json.as_bytes()));
    Ok(())
}

fn id(text: &str) -> Result<WorkloadId, Fail> {
    let bare = text.strip_prefix("workload_").unwrap_or(text);
    WorkloadId::parse(bare)
        .ok_or_else(|| Fail::usage(format!("--workload `{text}`: write the 16 hex digits of a workload's id")))
}
