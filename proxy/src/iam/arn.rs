//! Amazon Resource Names, taken apart without copying.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>

/// `arn:partition:service:region:account:resource`. Only the resource may hold colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    /// For example `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: &'a str,
    /// For example `iam`, `sts`, `s3`.
    pub service: &'a str,
    /// Empty for what has no region.
    pub region: &'a str,
    /// Twelve digits, or empty for what has no account.
    pub account: &'a str,
    /// The rest, never empty.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// `None` for what has fewer than six parts, does not begin with `arn:` or lacks partition, service or resource.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next() != Some("arn") {
            return None;
        }
        let [partition, service, region, account, resource] = std::array::from_fn(|_| parts.next());
        let arn = Self {
            partition: partition?,
            service: service?,
            region: region?,
            account: account?,
            resource: resource?,
        };
        (!arn.partition.is_empty() && !arn.service.is_empty() && !arn.resource.is_empty()).then_some(arn)
    }

    /// Whether `text` is the id of an account: twelve digits.
    pub fn is_account(text: &str) -> bool {
        text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
    }

    /// Whether `text` is the name of a partition: `aws`, `aws-cn`, `aws-us-gov` and their like.
    pub fn is_partition(text: &str) -> bool {
        text.starts_with("aws") && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_resource_holds_colons() {
        let arn = Arn::parse("arn:aws:s3:::bucket/a:b").unwrap();
        assert_eq!((arn.partition, arn.service, arn.region, arn.account), ("aws", "s3", "", ""));
        assert_eq!(arn.resource, "bucket/a:b");
    }

    #[test]
    fn incomplete_names_are_none() {
        for text in
            ["", "arn", "arn:aws:s3:::", "arn::s3:::b", "arn:aws::::b", "ARN:aws:s3:::b", "arn:aws:s3::b"]
        {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }
}
