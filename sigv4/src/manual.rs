//! Attacks considered: where each is stopped, and the test that shows it.
//!
//! Tests of heads are in `attacks.rs`, `presigned.rs` and `roundtrip.rs` of `tests/it`, those of bodies in
//! `payload.rs`, `chunked.rs` and `chunked_properties.rs`, those of forms in `post_policy.rs` and `multipart.rs`, those
//! of SigV4a in `sigv4a.rs` there and beside the module. `disposition.rs` has its own.
//!
//! # Replaying a signature where it was not meant
//!
//! | attack | stopped by | test |
//! |---|---|---|
//! | send a request that does not sign `host` to another host | S3: `host` must be signed, checked with the other unsigned headers; Generic: when parsing | `rejects_unsigned_host_header` |
//! | send it to another host all the same | the canonical request holds the host as received | `rejects_replay_on_another_host` |
//! | name two hosts, one for the verifier and one for the router | two `Host` headers, or one that differs from `:authority`, are refused | `rejects_two_hosts` |
//! | sign for another region, service or day | the scope is compared with the endpoint and with the request's own date before a key is derived | `rejects_wrong_region_service_terminator_and_day_before_any_key_is_derived` |
//! | have it verified with a key of another scope | a signing key knows its scope | `rejects_a_key_of_another_scope` |
//! | SigV4a: send it to a region it is not signed for | the region set is compared with the endpoint before a key is derived | `rejects_a_signature_for_other_regions` |
//! | SigV4a: widen the region set, or leave it unsigned so that it can be | it must be there and signed, whatever headers the endpoint tolerates | `rejects_a_region_set_put_in_place_of_the_signed_one`, `rejects_a_region_set_that_is_missing_or_not_signed` |
//! | wait | fifteen minutes, or the lifetime of a presigned request | `rejects_requests_older_or_newer_than_fifteen_minutes`, `window_is_from_fifteen_minutes_ahead_to_the_last_second` |
//! | give an old signature a fresh date | the scope's day and the string to sign hold the date | `rejects_a_fresh_date_on_an_old_signature` |
//! | give two dates, or one that reads differently elsewhere | `x-amz-date` alone counts, once, in one format | `rejects_dates_that_are_missing_ambiguous_or_malformed` |
//!
//! # Changing a signed request
//!
//! | attack | stopped by | test |
//! |---|---|---|
//! | `HEAD`, `DELETE` or a method override on a URL for `GET` | the method is signed as received; override headers mean nothing | `rejects_head_on_a_url_for_get` |
//! | another path, also one that normalises to the same | S3 paths are never normalised | `rejects_altered_path` |
//! | a query parameter more, less or different | every parameter but the signature is signed | `rejects_altered_query` |
//! | a signed header changed, repeated or removed | every value is signed, in order | `rejects_altered_removed_or_repeated_signed_header` |
//! | a signed header removed that was empty | absent is not empty | `rejects_signed_header_that_is_absent_rather_than_taking_it_for_empty` |
//! | `Connection: x-amz-date`, so that a hop removes it | verify what was received, before hop-by-hop headers are removed | `rejects_signed_header_dropped_by_connection` |
//! | any other letter | the signature | `no_signed_letter_can_be_changed` |
//!
//! # Adding to a signed request
//!
//! | attack | stopped by | test |
//! |---|---|---|
//! | `x-amz-copy-source` on a presigned `PUT` reads any object | S3: every `x-amz-*` header must be signed | `rejects_unsigned_copy_source_on_presigned_put` |
//! | any other `x-amz-*` header | the same; exceptions are the endpoint's to name | `rejects_every_unsigned_amz_header_but_the_tolerated` |
//! | a credential in the query beside the header's, each checked by half | one mechanism or none | `rejects_credential_in_query_beside_authorization` |
//! | a second `Authorization` header, or a parameter given twice | refused (S3) | `rejects_several_authorization_headers`, `each_mandatory_parameter_is_missed_by_name` |
//! | a second session token | tokens that differ are none | `session_token_is_read_from_query_and_header` |
//!
//! # Getting an unsigned body accepted
//!
//! | attack | stopped by | test |
//! |---|---|---|
//! | replace the hash by `UNSIGNED-PAYLOAD` or a chunk framing | `x-amz-content-sha256` is the last line of the canonical request | `rejects_unsigned_payload_word_put_in_place_of_a_hash` |
//! | leave it out, give it twice, spell it otherwise | refused before the signature is checked | `rejects_content_sha256_that_is_missing_repeated_or_no_known_word` |
//! | announce chunks in a presigned request | no framing is decoded there | `chunk_framing_is_not_decoded_in_presigned_requests` |
//! | another body, shorter or longer | hash and announced length are proved at the end | `a_body_must_have_the_declared_hash`, `a_body_must_have_the_announced_length` |
//! | swap, drop, repeat or add signed chunks | each signature chains on the one before | `chunks_cannot_be_swapped_dropped_repeated_or_added` |
//! | cut a chunked body off before its end | the terminal chunk is signed, the decoded length announced | `the_terminal_chunk_is_signed_like_any_other`, `the_decoded_length_must_be_the_announced_one` |
//! | sign chunks with another algorithm than the head | the framing must name the head's | `chunks_are_signed_with_the_algorithm_of_the_head_or_refused` |
//! | SigV4a: chunk signatures padded otherwise, shortened or of other chunks | the padding is taken off its end only, the chain holds what is left | `rejects_chunks_and_trailers_that_were_not_signed_so` |
//! | another trailing checksum | the trailer is signed, and the checksum computed | `a_signed_trailer_must_also_be_right` |
//! | go on after an error | a verifier that failed fails for good | `nothing_is_proved_after_an_error` |
//!
//! # Uploading by form what its signer did not mean
//!
//! | attack | stopped by | test |
//! |---|---|---|
//! | change the policy, if only in its spelling | the text is signed as it is, and not read before that is proved | `refuses_a_policy_or_a_signature_that_was_changed`, `no_byte_of_a_form_can_be_changed_so_that_it_says_something_else` |
//! | write another policy without signing it | a form is signed by all fields of a signature or by none | `misses_each_field_of_a_signature_by_name` |
//! | hide a condition behind another of its name, or in a member nobody reads | names come once, unknown members are none of a policy | `what_is_no_policy_is_refused_for_what_it_is` |
//! | add a field, `acl` or a token among them | every field must be mentioned by a condition | `conditions_hold_or_fail_as_documented`, `the_session_token_is_a_field_like_any_other` |
//! | give a field twice, for the policy and for the store | refused, in whatever spelling | `refuses_a_field_that_comes_twice_in_whatever_spelling` |
//! | send the form to another bucket | a condition on the bucket is mandatory, and held against the request's own | `bucket_and_key_are_those_of_the_request` |
//! | climb out of the key's prefix with the name of the file | only what follows the last slash or backslash, before conditions are checked | `the_name_of_the_file_is_put_in_before_conditions_are_checked` |
//! | one listed `Content-Type` and one that is not | each item of the list is held against the prefix | `conditions_hold_or_fail_as_documented` |
//! | a larger file than allowed | counted while it streams; no byte beyond is handed out | `the_size_of_the_file_is_held_to_the_policy_while_it_streams` |
//! | another length than was promised to whoever takes the file | the same | `a_file_has_the_length_that_was_promised_for_it` |
//! | wait | the policy's expiration | `a_policy_is_good_up_to_its_last_second_and_a_form_may_be_old` |
//! | two readings of one part | parameters and headers come once, line ends are CRLF | `a_broken_form_is_refused_for_what_is_broken` |
//! | fields without end, or a name of a file that multiplies | bounded | `what_stands_before_the_file_is_bounded`, `the_name_of_the_file_cannot_blow_a_form_up` |
//!
//! # Getting a signature accepted that is none
//!
//! | attack | stopped by | test |
//! |---|---|---|
//! | another spelling, a prefix, nothing | 64 lower-case digits, compared in constant time | `rejects_signatures_that_are_not_the_one_canonical_spelling` |
//! | a header that two parsers read differently | three components, one space, names exact | `rejects_malformed_authorization_headers` |
//! | an older algorithm, or SigV4a where it is not offered | refused by name | `tells_other_signature_versions_apart`, `is_refused_by_name_where_it_is_not_offered` |
//! | name one algorithm and sign with the other | each has its scope, its string to sign and its type of key | `rejects_another_algorithm_named_over_the_same_signature`, `rejects_a_scope_of_the_other_algorithm`, `rejects_a_key_of_the_other_algorithm` |
//! | SigV4a: `r` or `s` zero or beyond the order | refused by `ring` | `integers_outside_one_to_n_minus_one_are_refused` |
//! | SigV4a: another encoding of a right signature, bytes after it | minimal DER in lower-case digits only | `encodings_other_than_minimal_der_are_refused`, `rejects_signatures_in_any_form_but_the_one_der_has` |
//! | escapes that decode twice or not at all | decoded once, malformed ones refused | `rejects_a_credential_escaped_twice`, `rejects_malformed_escapes_in_path_and_query` |
//! | read the right signature off an error | it is never written anywhere | `an_explanation_shows_neither_token_nor_customer_key_nor_the_right_signature` |
//!
//! # Wearing the verifier down
//!
//! | attack | stopped by | test |
//! |---|---|---|
//! | SigV4a: have a public key derived, or forms tried, for each request | the key is the credential's and kept with it; two forms at most | `only_the_unnormalised_path_is_tried_beside_the_standard_form` |
//! | keys that are long, empty or not text | refused without a look-up | `rejects_access_key_ids_not_worth_a_look_up` |
//! | lists of thousands | bounded, or sorted in n log n | `huge_inputs_are_refused_without_harm` |
//! | a form whose `Content-Type` or part has parameters without end, each compared with all others | bounded | `parameters_are_few` |
//! | bytes of any kind | total functions, no panics | `nothing_that_arrives_panics`, `garbage_never_panics` |
//! | chunk lines and trailers without end | bounded | `lines_and_trailers_are_bounded`, `repeated_trailers_are_bounded_too` |
//!
//! # Left open on purpose
//!
//! Unless [`Endpoint::strict`](crate::Endpoint::strict), a signature that does not hold over the standard form
//! is tried over those that deployed signers are known to make, one deviation at a time
//! (`accepts_the_known_deviations_of_signers_unless_strict`,
//! `rejects_two_deviations_at_once_and_ports_that_are_no_default`). Each form is a function of the bytes
//! received, so what they let through is a request that differs from the signed one in its spelling: the
//! default port of `host`, white space inside a value, Latin-1 for UTF-8. One of them has weight: a raw `+`
//! in a path, read as a space, is another key to most backends. [`Verified`](crate::Verified) tells, and the
//! caller must then forward a space.
//!
//! Of a SigV4a signature `(r, s)` anyone can make `(r, n - s)`, which holds too: signers do not normalise. It is good
//! for the same request and nothing else, and no signature is used to tell requests apart.
//!
//! A repeated query parameter may change places with its like: the specification sorts values. The wire's
//! spelling of a path, `%2F` or `/`, is not signed: a backend must take both for one key, as S3 does.
