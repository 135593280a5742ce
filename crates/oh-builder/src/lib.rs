//! Which image an instance runs in.
//!
//! [`resolve`] takes the image a dataset's row names, else fills in a [`Template`], and gives an [`ImageRef`]: checked
//! and complete, with registry, repository, and tag or digest. Rows and instance ids are untrusted input: whatever they
//! hold, the answer is a valid reference or an [`ImageError`] that says what is wrong.
//!
//! | file | is |
//! | --- | --- |
//! | `image_ref` | reading references, their long and short form |
//! | `resolve` | from an instance to its image: explicit, template, mirror |
//! | `error` | what can be wrong |

mod error;
mod image_ref;
mod resolve;

pub use error::{ImageError, Result};
pub use image_ref::ImageRef;
pub use resolve::{SWEBENCH_TEMPLATE, Template, resolve};
