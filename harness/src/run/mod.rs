//! Build, boot, check and measure one server.
