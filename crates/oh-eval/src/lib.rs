//! Many instances: evaluation of predictions in the shape of SWE-bench.
//!
//! The rules are those of the reference, the Python package `swebench` 5.0.2; where a rule is surprising, the reason is
//! that its verdicts must come out the same. Reading order:
//!
//! | module | is |
//! | --- | --- |
//! | [`dataset`] | the instances: rows of `.jsonl` or `.json` |
//! | [`predictions`] | the patches to evaluate |
//! | [`patch`] | how a patch is applied in the sandbox |
//! | [`script`] | what runs the tests there |
//! | [`log_parser`] | what the tests printed → the status of each test |
//! | [`grading`] | the statuses → resolved or not |
//! | [`infra`] | signs that the environment broke, not the patch |
//! | [`paths`] | the tree of logs and reports |
//! | [`report`] | the reports of an instance and of a run |
//! | [`run`] | all of it for many instances, on a runtime |
//!
//! But for [`run`] none of these starts anything: they read files, compute and write reports.

pub mod dataset;
pub mod grading;
pub mod infra;
mod json;
pub mod log_parser;
pub mod patch;
pub mod paths;
pub mod predictions;
mod python;
pub mod report;
pub mod rows;
pub mod run;
pub mod script;

pub use run::EvalError;
