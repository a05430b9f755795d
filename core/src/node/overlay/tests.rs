//! What a user of the overlay would miss if it broke.
