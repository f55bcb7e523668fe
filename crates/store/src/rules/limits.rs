//! The limits of MLflow 3.17, in one place.

/// Characters of a key of a metric, param or tag.
pub const KEY: usize = 250;
/// Characters of a param's value; longer ones are cut.
pub const PARAM_VALUE: usize = 6000;
/// Characters of a run tag's value; longer ones are cut. The column takes as many, and PostgreSQL
/// holds to it.
pub const RUN_TAG_VALUE: usize = 8000;
/// Characters of a run tag's value that is JSON, which is never cut.
pub const JSON_TAG_VALUE: usize = 1_000_000;
/// Characters of an experiment tag's value.
pub const EXPERIMENT_TAG_VALUE: usize = 20_000;
/// Characters of an experiment's name. The column takes 256, and PostgreSQL holds to it.
pub const EXPERIMENT_NAME: usize = 500;
/// Characters of an artifact location.
pub const ARTIFACT_LOCATION: usize = 2048;
/// Metrics of one batch.
pub const BATCH_METRICS: usize = 1000;
/// Params of one batch.
pub const BATCH_PARAMS: usize = 100;
/// Tags of one batch.
pub const BATCH_TAGS: usize = 100;
/// Metrics, params and tags of one batch together.
pub const BATCH_ENTITIES: usize = 1000;
/// Runs or experiments of one page.
pub const PAGE: i64 = 50_000;
/// Runs or experiments of one page when the request does not say.
pub const DEFAULT_PAGE: i64 = 1000;
/// Points of a history over several runs.
pub const HISTORY_POINTS: i64 = 25_000;
/// Runs of a history over several runs.
pub const HISTORY_RUNS: usize = 100;
/// Points of each run of a sampled history.
pub const SAMPLED_POINTS: i64 = 2500;
/// Logged models of one page when the request does not say.
pub const DEFAULT_MODEL_PAGE: i64 = 50;
/// Characters of a dataset's name.
pub const DATASET_NAME: usize = 500;
/// Characters of a dataset's digest.
pub const DATASET_DIGEST: usize = 36;
/// Characters of a dataset's source.
pub const DATASET_SOURCE: usize = 65_535;
/// Characters of a dataset's schema.
pub const DATASET_SCHEMA: usize = 1_048_575;
/// Characters of a dataset's profile.
pub const DATASET_PROFILE: usize = 16_777_215;
/// Characters of the key of an input's tag.
pub const INPUT_TAG_KEY: usize = 255;
/// Characters of the value of an input's tag.
pub const INPUT_TAG_VALUE: usize = 500;
/// Experiments of one question for datasets.
pub const DATASET_EXPERIMENTS: usize = 20;
/// Datasets of one answer.
pub const DATASETS: i64 = 1000;
/// Registered models of one page.
pub const MODELS_PAGE: i64 = 1000;
/// Registered models of one page when the request does not say.
pub const DEFAULT_MODELS_PAGE: i64 = 100;
/// Versions of one page, also when the request does not say.
pub const VERSIONS_PAGE: i64 = 200_000;
/// Characters of the value of a tag of a registered model or a version.
pub const REGISTRY_TAG_VALUE: usize = 100_000;
/// Characters of an alias.
pub const ALIAS: usize = 255;
/// Parts of an upload; S3's own limit.
pub const UPLOAD_PARTS: i64 = 10_000;
/// Characters of what a store calls an upload or a part.
pub const UPLOAD_ID: usize = 2048;
/// Seconds that a signed address may be good for; a week, which is the clouds' own limit.
pub const ADDRESS_SECONDS: i64 = 604_800;
/// Seconds that an address for an upload is good for when the request does not say.
pub const DEFAULT_UPLOAD_SECONDS: i64 = 900;
/// Bytes of a file that MLflow's pages upload.
pub const PAGE_UPLOAD: usize = 10 << 20;
