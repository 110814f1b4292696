//! The accept path allocates nothing.

use allocation_counter::measure;
use sigward_benches::head::{Case, some_time};

#[test]
fn verification_does_not_allocate() {
    for case in Case::hot(some_time()) {
        let counted = measure(|| drop(case.verify()));
        assert_eq!(counted.count_total, 0, "{}", case.name);
    }
}
