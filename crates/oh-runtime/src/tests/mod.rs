//! Against a scripted backend and scripted agents, on a clock that does not wait.

mod archives;
mod connecting;
mod fake;
mod lifecycle;
