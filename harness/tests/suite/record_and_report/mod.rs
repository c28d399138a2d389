//! The stored record, its export and the reports made from it, without any server.
mod entries;
mod html;
mod html_microbench;
mod html_protocol;
mod json;
mod killed;
mod planted;
mod queries;
mod report;
mod sample;
mod store;
mod summary;
mod trackers;
