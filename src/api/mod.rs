//! The product as HTTP clients see it: its pages.

pub mod pages;
