//! Documents that are generated from the catalogue.
