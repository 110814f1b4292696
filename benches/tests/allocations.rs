//! The accept path allocates nothing.

use allocation_counter::measure;
use sigward_benches::Case;

#[test]
fn verification_does_not_allocate() {
    for case in Case::all() {
        let counted = measure(|| drop(case.verify()));
        assert_eq!(counted.count_total, 0, "{}", case.name);
    }
}
