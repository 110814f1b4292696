//! Documents as backends write them, cut anywhere.

use proptest::prelude::*;

use super::*;
use crate::s3::Bucket;
use crate::s3::rename::KeyPrefix;

fn names(client: &str, backend: &str, prefix: &str) -> Mapping {
    Mapping {
        client: Bucket::parse(client).unwrap(),
        backend: Bucket::parse(backend).unwrap(),
        key_prefix: KeyPrefix::parse(prefix).unwrap_or_default(),
    }
}

fn rewriter(url: bool) -> Rewriter {
    let location = Some("http://h/photos/a%26b?x&y".into());
    Rewriter::of_answer(vec![names("photos", "shared", "t-a/")], url, location)
}

fn in_pieces<'d>(mut rewriter: Rewriter, pieces: impl IntoIterator<Item = &'d [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        rewriter.push(piece, &mut out);
    }
    rewriter.finish(&mut out);
    out
}

fn rewritten(document: &str, url: bool) -> String {
    let whole = in_pieces(rewriter(url), [document.as_bytes()]);
    let bytewise = in_pieces(rewriter(url), document.as_bytes().chunks(1));
    assert_eq!(whole, bytewise, "{document}");
    String::from_utf8(whole).unwrap()
}

#[test]
fn listings_have_the_names_of_the_client() {
    for (before, after) in [
        (
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>shared</Name><Prefix>t-a/</Prefix><StartAfter>t-a/b</StartAfter>\
             <NextContinuationToken>t-a/z</NextContinuationToken><Contents><Key>t-a/c &amp; d</Key><Owner><DisplayName>t-a/o</DisplayName></Owner></Contents>\
             <CommonPrefixes><Prefix>t-a/e/</Prefix></CommonPrefixes></ListBucketResult>\n",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>photos</Name><Prefix></Prefix><StartAfter>b</StartAfter>\
             <NextContinuationToken>t-a/z</NextContinuationToken><Contents><Key>c &amp; d</Key><Owner><DisplayName>t-a/o</DisplayName></Owner></Contents>\
             <CommonPrefixes><Prefix>e/</Prefix></CommonPrefixes></ListBucketResult>\n",
        ),
        (
            "<ListVersionsResult><KeyMarker/><Version><Key>t-a/1</Key></Version><DeleteMarker a='>'><Key>t-a/2</Key></DeleteMarker><NextKeyMarker>t-a/2</NextKeyMarker></ListVersionsResult>",
            "<ListVersionsResult><KeyMarker/><Version><Key>1</Key></Version><DeleteMarker a='>'><Key>2</Key></DeleteMarker><NextKeyMarker>2</NextKeyMarker></ListVersionsResult>",
        ),
        (
            "<ListMultipartUploadsResult><Bucket>shared</Bucket><Upload><Key>t-a/1</Key><UploadId>t-a/u</UploadId></Upload></ListMultipartUploadsResult>",
            "<ListMultipartUploadsResult><Bucket>photos</Bucket><Upload><Key>1</Key><UploadId>t-a/u</UploadId></Upload></ListMultipartUploadsResult>",
        ),
        (
            "<ListPartsResult><Bucket>shared</Bucket><Key>t-a/1</Key><Part><ETag>t-a/</ETag></Part></ListPartsResult>",
            "<ListPartsResult><Bucket>photos</Bucket><Key>1</Key><Part><ETag>t-a/</ETag></Part></ListPartsResult>",
        ),
    ] {
        assert_eq!(rewritten(before, false), after);
    }
}

#[test]
fn other_answers_have_the_names_of_the_client() {
    for (before, after) in [
        (
            "  \n <CompleteMultipartUploadResult><Location>http://10.0.0.1/shared/t-a/x</Location><Bucket>shared</Bucket><Key>t-a/x</Key></CompleteMultipartUploadResult>",
            "  \n <CompleteMultipartUploadResult><Location>http://h/photos/a%26b?x&amp;y</Location><Bucket>photos</Bucket><Key>x</Key></CompleteMultipartUploadResult>",
        ),
        (
            "<InitiateMultipartUploadResult><Bucket>shared</Bucket><Key>t-a/x</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>",
            "<InitiateMultipartUploadResult><Bucket>photos</Bucket><Key>x</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>",
        ),
        (
            "<DeleteResult><Deleted><Key>t-a/x</Key></Deleted><Error><Key>t-a/y</Key><Code>AccessDenied</Code></Error></DeleteResult>",
            "<DeleteResult><Deleted><Key>x</Key></Deleted><Error><Key>y</Key><Code>AccessDenied</Code></Error></DeleteResult>",
        ),
        (
            "<Error><Code>NoSuchKey</Code><Key>t-a/x</Key><BucketName>shared</BucketName><Resource>/shared/t-a/x%20y</Resource></Error>",
            "<Error><Code>NoSuchKey</Code><Key>x</Key><BucketName>photos</BucketName><Resource>/photos/x%20y</Resource></Error>",
        ),
        ("<Error><Resource>/shared</Resource></Error>", "<Error><Resource>/photos</Resource></Error>"),
        ("<Error><Resource>/shared/</Resource></Error>", "<Error><Resource>/photos/</Resource></Error>"),
        ("<Error><Resource>/t-a/x</Resource></Error>", "<Error><Resource>/x</Resource></Error>"),
    ] {
        assert_eq!(rewritten(before, false), after);
    }
}

#[test]
fn a_name_is_known_however_it_is_escaped() {
    let key = |text: &str, url| {
        let document = format!("<ListBucketResult><Contents><Key>{text}</Key></Contents></ListBucketResult>");
        let after = rewritten(&document, url);
        after.split("<Key>").nth(1).and_then(|rest| rest.split("</Key>").next()).map(str::to_owned).unwrap()
    };
    assert_eq!(key("t-a/x%2Fy", true), "x%2Fy");
    assert_eq!(key("t-a%2Fx", true), "x");
    assert_eq!(key("t%2da%2fx", true), "x");
    assert_eq!(key("t-a%2Fx", false), "t-a%2Fx");
    assert_eq!(key("t-a&#47;x&#x0D;", false), "x&#x0D;");
    assert_eq!(key("t-a&#x2f;x", false), "x");
    assert_eq!(key("<![CDATA[t-a/x<&]]>", false), "x&lt;&amp;");
    assert_eq!(key("t-a<!-- - -->/x", false), "x");
    for outside in ["", "t-a", "t-b/x", "&amp;t-a/x", "<!-- -->y", "t-a<b>/x</b>"] {
        assert_eq!(key(outside, false), outside);
    }
}

#[test]
fn what_holds_no_name_stays_as_it_is() {
    let long = format!("<Error><Key>t-a/{}</Key></Error>", "k".repeat(MOST_HELD));
    for document in [
        "",
        "t-a/ shared",
        "<html><Key>t-a/x</Key></html>",
        "<ListBucketResult><Other><Key>t-a/x</Key></Other><Key>t-a/x</Key></ListBucketResult>",
        "<ListBucketResult><Contents><Owner><Key>t-a/x</Key></Owner></Contents></ListBucketResult>",
        "<s:ListBucketResult><s:Name>shared</s:Name></s:ListBucketResult>",
        "<!DOCTYPE Error [<!ENTITY x \"\">]><Error><Key>t-a/x</Key></Error>",
        "<!-- <Error><Key>t-a/x</Key></Error> --><x/>",
        "<Error/><Error><Key>t-a/x</Key></Error>",
        "<Error><Key>t-a/x",
        "<Error><Key>t-a/x<",
        "<Error><BucketName>sharedx</BucketName></Error>",
        &long,
    ] {
        assert_eq!(rewritten(document, true), document);
    }
}

#[test]
fn of_two_buckets_each_has_its_name() {
    let both = vec![names("photos", "shared", "t-a/"), names("music", "other", "t-b/")];
    let document = "<Error><BucketName>other</BucketName><Key>t-b/x</Key></Error>";
    let answer = in_pieces(Rewriter::of_answer(both, false, None), [document.as_bytes()]);
    assert_eq!(answer, b"<Error><BucketName>music</BucketName><Key>x</Key></Error>");
}

/// Pieces of documents that say something to the rewriter, in any order.
fn markup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "<ListBucketResult>",
        "</ListBucketResult>",
        "<Error>",
        "</Error>",
        "<Contents>",
        "</Contents>",
        "<Key>",
        "</Key>",
        "<Name>",
        "</Name>",
        "<Key/>",
        "<Key a=\"/>\" >",
        "t-a/",
        "shared",
        "x",
        " ",
        "<!--",
        "-->",
        "--->",
        "<![CDATA[",
        "]]>",
        "]",
        "<?",
        "?>",
        "&#47;",
        "&amp;",
        "%2F",
        "<",
        ">",
        "/",
        "<!",
        "<!DOCTYPE",
        "\u{e9}",
        "'",
        "\"",
    ]);
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_document(text in markup(), cuts in prop::collection::vec(1_usize..9, 1..20), url: bool) {
        let bytes = text.as_bytes();
        let mut pieces = Vec::new();
        let (mut at, mut sizes) = (0, cuts.iter().cycle());
        while at < bytes.len() {
            let end = (at + sizes.next().unwrap()).min(bytes.len());
            pieces.push(&bytes[at..end]);
            at = end;
        }
        prop_assert_eq!(in_pieces(rewriter(url), [bytes]), in_pieces(rewriter(url), pieces));
    }

    #[test]
    fn nothing_is_changed_where_no_name_is_mapped(text in markup(), url: bool) {
        let same = Rewriter::of_answer(vec![names("photos", "photos", "")], url, None);
        let plain = !text.contains("<!") && !text.contains("<?");
        prop_assume!(plain);
        prop_assert_eq!(in_pieces(same, [text.as_bytes()]), text.as_bytes());
    }

    #[test]
    fn arbitrary_bytes_pass_through_what_has_no_known_root(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let document = [&b"<x>"[..], &bytes].concat();
        prop_assert_eq!(in_pieces(rewriter(true), [&document[..]]), document);
    }
}
