//! Head verification beside the hashing that no verifier can avoid: the ratio is the figure to read.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sigward_benches::head::{Case, some_time};

fn head(criterion: &mut Criterion) {
    for case in Case::hot(some_time()) {
        let bound = case.bound();
        let mut group = criterion.benchmark_group(case.name);
        group.bench_function("hashing only", |bencher| bencher.iter(|| black_box(black_box(&bound).hash())));
        group.bench_function("verify", |bencher| bencher.iter(|| black_box(black_box(&case).verify())));
        group.finish();
    }
}

criterion_group!(benches, head);
criterion_main!(benches);
