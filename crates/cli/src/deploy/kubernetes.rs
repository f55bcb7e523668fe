//! `mlrs deploy kubernetes`: from arguments to objects, and to where they go.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use mlrs_deploy::cluster::{ApplySettings, Cluster, Rollout, RolloutSettings, Workload};
use mlrs_deploy::names::Name;
use mlrs_deploy::objects::Object;
use mlrs_deploy::{Settings, helm, kserve, manifest, objects};

use super::arguments::{KubernetesArguments, Target, WaitArguments};
use super::{print, say};
use crate::connection::runtime;
use crate::failure::{self, hinted};
use crate::{output, progress};

pub(super) fn run(arguments: &KubernetesArguments) -> anyhow::Result<()> {
    let settings = arguments.settings()?;
    let is_applied = arguments.output == Target::Apply;
    let is_helm = arguments.output == Target::Helm;
    for (option, is_said, is_meant) in [
        ("--dry-run", arguments.apply.dry_run, is_applied),
        (
            "--force-conflicts",
            arguments.apply.force_conflicts,
            is_applied,
        ),
        ("--no-wait", arguments.wait.no_wait, is_applied),
        ("--context", arguments.cluster.context.is_some(), is_applied),
        ("--directory", arguments.directory.is_some(), is_helm),
    ] {
        if is_said && !is_meant {
            let output = if option == "--directory" {
                "helm"
            } else {
                "apply"
            };
            return Err(hinted(
                format!("{option} means nothing here"),
                format!("it goes with --output {output}"),
            ));
        }
    }
    if !is_helm {
        note(&settings);
    }
    match arguments.output {
        Target::Yaml => output::text(&manifest::yaml(&made(&settings, arguments.kserve)?)),
        Target::Helm => chart(&settings, arguments),
        Target::Apply => runtime()?.block_on(apply(&settings, arguments, &mut say)),
    }
}

fn made(settings: &Settings, is_kserve: bool) -> anyhow::Result<Vec<Object>> {
    Ok(if is_kserve {
        kserve::all(settings)?
    } else {
        objects::all(settings)?
    })
}

/// Writes a chart into a folder that is not there yet, or empty.
fn chart(settings: &Settings, arguments: &KubernetesArguments) -> anyhow::Result<()> {
    if arguments.kserve {
        return Err(hinted(
            "there is no chart for KServe",
            "use --output yaml: one InferenceService is all that there is to change",
        ));
    }
    let Some(directory) = &arguments.directory else {
        return Err(hinted("a chart needs a folder", "name it with --directory"));
    };
    let is_taken = std::fs::read_dir(directory).map_or_else(
        |_| directory.exists(),
        |mut entries| entries.next().is_some(),
    );
    if is_taken {
        return Err(hinted(
            format!("`{}` is there already", directory.display()),
            "name a folder that does not exist yet",
        ));
    }
    for (path, text) in helm::chart(settings)? {
        write(&directory.join(path), &text)?;
    }
    say(&format!(
        "a chart is in `{0}`: helm install {1} {0}",
        directory.display(),
        settings.name
    ))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(path, text));
    written.with_context(|| format!("cannot write `{}`", path.display()))
}

/// Says a line to whoever typed the command.
pub(crate) type Say<'a> = &'a mut dyn FnMut(&str) -> anyhow::Result<()>;

/// Applies the objects, and waits until their pods are ready.
pub(crate) async fn apply(
    settings: &Settings,
    arguments: &KubernetesArguments,
    say: Say<'_>,
) -> anyhow::Result<()> {
    let objects = made(settings, arguments.kserve)?;
    let cluster = Cluster::connect(&arguments.cluster.settings()).await?;
    let how = ApplySettings {
        dry_run: arguments.apply.dry_run,
        force_conflicts: arguments.apply.force_conflicts,
    };
    let applied = cluster.apply(&objects, how).await?;
    let done = if how.dry_run { "checked" } else { "applied" };
    print::applied(&applied, done, say)?;
    if how.dry_run {
        return say("nothing was changed");
    }
    let workload = if arguments.kserve {
        Workload::InferenceService
    } else {
        Workload::Deployment
    };
    // What is left of an earlier one could hold the name of something that the new one is made of.
    let pruned = cluster.prune(&settings.name, &objects).await;
    print::applied(&pruned.deleted, done, say)?;
    let waited = wait(&cluster, &settings.name, workload, &arguments.wait, say).await;
    let left = print::left(&cluster, &settings.name, pruned);
    match (waited, left) {
        (Err(error), Err(other)) => {
            print::warning(&format!("{other:#}"), failure::hint(&other).as_deref());
            Err(error)
        }
        (waited, left) => waited.and(left),
    }
}

/// Waits until the pods of a deployment are ready, unless it is not to be waited for.
pub(crate) async fn wait(
    cluster: &Cluster,
    name: &Name,
    workload: Workload,
    wait: &WaitArguments,
    say: Say<'_>,
) -> anyhow::Result<()> {
    if wait.no_wait {
        return Ok(());
    }
    let settings = RolloutSettings {
        timeout: Duration::from_secs(wait.timeout),
        ..RolloutSettings::default()
    };
    let bar = progress::line(&format!("waiting for {name}"));
    let mut last = Rollout::default();
    let mut show = |rollout: &Rollout| {
        bar.set_message(described(rollout));
        last = rollout.clone();
    };
    let waited = cluster.wait(name, workload, settings, &mut show).await;
    bar.finish_and_clear();
    waited?;
    say(&ready(name, &last))?;
    if last.pods.is_none() {
        print::warning(
            &format!("you may not read the Deployment that KServe makes of `{name}`"),
            Some("KServe says `Ready` while pods of the version before answer, too"),
        );
    }
    Ok(())
}

/// What there is at the end of a rollout, in a line.
fn ready(name: &Name, rollout: &Rollout) -> String {
    let pods = rollout.pods.map(|pods| match pods.available {
        1 => "1 pod".to_owned(),
        many => format!("{many} pods"),
    });
    let parts: Vec<String> = pods.into_iter().chain(rollout.url.clone()).collect();
    if parts.is_empty() {
        return format!("{name} is ready");
    }
    format!("{name} is ready: {}", parts.join(", "))
}

/// Where a rollout is, in a line.
fn described(rollout: &Rollout) -> String {
    let counted = rollout.pods.map(|pods| {
        let ready = format!("{} of {} pods are ready", pods.available, pods.wanted);
        match pods.old {
            0 => ready,
            old => format!("{ready}, {old} old ones are still there"),
        }
    });
    let trouble = rollout.trouble.as_ref().map(ToString::to_string);
    let condition = rollout.conditions.first().map(ToString::to_string);
    // A line holds one of them; a pod says more than KServe does.
    let wrong = trouble.or(condition);
    let wrong = wrong.iter().filter_map(|text| text.lines().next());
    let parts = counted.into_iter().chain(wrong.map(str::to_owned));
    parts.collect::<Vec<_>>().join("; ")
}

/// Says what is good to know of the settings, beside what is printed.
#[allow(clippy::print_stderr, reason = "notes to the person who deploys")]
fn note(settings: &Settings) {
    for note in settings.notes() {
        eprintln!("note: {note}");
    }
}
