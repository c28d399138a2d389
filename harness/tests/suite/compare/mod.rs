//! `harness compare` and `harness rank`: verdicts and causes on records made by hand, the text made of
//! them, and the built program on a real record.
mod causes;
mod program;
mod sample;
mod standing;
mod text;
mod verdicts;
