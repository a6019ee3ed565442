//! Nothing: the package is there for the sources that its dependency carries.
