//! Searches for registered models and versions.

use mlrs_api::registry::{ModelVersion, RegisteredModel};
use mlrs_store::rules::registry::PROMPT_TAG;
use mlrs_store::search::registry::RegistryText;
use mlrs_store::search::{
    Filter, ModelVersionSearch, OrderBy, RegisteredModelSearch, RegistryClause, RegistryOrder,
};
use mlrs_store::{Page, StoreError};

use crate::connection::{Connection, Dialect};
use crate::page::{Part, paged};
use crate::search::{Owned, filter, owned_text, page, text};
use crate::statement::Statement;
use crate::{model_versions, registered_models};

/// How the columns of models and of versions are called.
struct Columns {
    name: &'static str,
    version: &'static str,
    run: &'static str,
    source: &'static str,
    creation: &'static str,
    last_update: &'static str,
    tags: Owned,
}

const MODELS: Columns = Columns {
    name: "m.name",
    // Models have none of these three; no filter of theirs asks for them.
    version: "m.name",
    run: "m.name",
    source: "m.name",
    creation: "m.creation_time",
    last_update: "m.last_updated_time",
    tags: Owned {
        table: "registered_model_tags",
        index: "",
        of: "x.name",
        owner: "m.name",
        further: " AND x.workspace = 'default'",
    },
};

const VERSIONS: Columns = Columns {
    name: "v.name",
    version: "v.version",
    run: "v.run_id",
    source: "v.source",
    creation: "v.creation_time",
    last_update: "v.last_updated_time",
    tags: Owned {
        table: "model_version_tags",
        index: "",
        of: "x.name",
        owner: "v.name",
        further: " AND x.workspace = 'default' AND x.version = v.version",
    },
};

/// Runs a search for models.
pub(crate) fn models(
    connection: &mut dyn Connection,
    search: &RegisteredModelSearch,
) -> Result<Page<RegisteredModel>, StoreError> {
    let mut statement = Statement::new(registered_models::select!(""));
    let dialect = connection.dialect();
    condition(
        &mut statement,
        dialect,
        &MODELS,
        search.prompts,
        &search.filter,
    );
    ordered(&mut statement, &MODELS, &search.order);
    statement.push("m.name");
    page(&mut statement, search.limit, search.offset);
    let part = Part {
        limit: search.limit,
        offset: search.offset,
    };
    let read = registered_models::read;
    paged(
        connection,
        &statement,
        part,
        read,
        |connection, mut items| {
            registered_models::complete(connection, &mut items)?;
            Ok(items)
        },
    )
}

/// Runs a search for versions.
pub(crate) fn versions(
    connection: &mut dyn Connection,
    search: &ModelVersionSearch,
) -> Result<Page<ModelVersion>, StoreError> {
    let mut statement = Statement::new(model_versions::select!(""));
    let dialect = connection.dialect();
    condition(
        &mut statement,
        dialect,
        &VERSIONS,
        search.prompts,
        &search.filter,
    );
    ordered(&mut statement, &VERSIONS, &search.order);
    statement.push("v.name, v.version DESC");
    page(&mut statement, search.limit, search.offset);
    let part = Part {
        limit: search.limit,
        offset: search.offset,
    };
    let read = model_versions::read;
    paged(
        connection,
        &statement,
        part,
        read,
        |connection, mut items| {
            model_versions::add_tags(connection, items.iter_mut())?;
            Ok(items)
        },
    )
}

/// Prompts are registered models with a tag: a search finds either those or the others.
fn condition<'a>(
    statement: &mut Statement<'a>,
    dialect: Dialect,
    columns: &Columns,
    prompts: bool,
    clauses: &'a Filter<RegistryClause>,
) {
    statement.push(if prompts { "EXISTS (" } else { "NOT EXISTS (" });
    statement
        .push("SELECT 1 FROM registered_model_tags p WHERE p.workspace = 'default' AND p.name = ");
    statement
        .push(columns.name)
        .push(" AND p.key = ")
        .bind(PROMPT_TAG);
    statement.push(" AND p.value = 'true') AND ");
    filter(statement, clauses, &mut |statement, clause| match clause {
        RegistryClause::Text { attribute, test } => {
            let column = match attribute {
                RegistryText::Name => columns.name,
                RegistryText::Run => columns.run,
                RegistryText::Source => columns.source,
            };
            text(statement, dialect, column, test);
        }
        RegistryClause::Version { operator, value } => {
            statement
                .push(columns.version)
                .push(" ")
                .push(operator.text());
            statement.push(" ").bind(*value);
        }
        RegistryClause::Tag { key, test } => {
            owned_text(statement, dialect.into(), &columns.tags, key, test);
        }
    });
}

fn ordered(statement: &mut Statement<'_>, columns: &Columns, order: &[OrderBy<RegistryOrder>]) {
    statement.push(" ORDER BY ");
    for order in order {
        statement.push(match order.key {
            RegistryOrder::Name => columns.name,
            RegistryOrder::Version => columns.version,
            RegistryOrder::Creation => columns.creation,
            RegistryOrder::LastUpdate => columns.last_update,
        });
        statement.push(if order.ascending { " ASC, " } else { " DESC, " });
    }
}
