//! Names of condition keys, told apart once, when a policy is compiled.
//!
//! Names are compared without regard to case, tag keys behind a `/` included.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>

/// Rows: variant and name as AWS writes it.
macro_rules! names {
    ($($name:ident $text:literal;)*) => {
        /// A condition key of its own; what is known under it stands in a slot of the
        /// [`Context`](super::Context).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Name {
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }

        impl Name {
            /// Every name, in the order of `name as usize`.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// As AWS writes it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

names! {
    CalledVia "aws:CalledVia";
    CurrentTime "aws:CurrentTime";
    EpochTime "aws:EpochTime";
    FederatedProvider "aws:FederatedProvider";
    MultiFactorAuthAge "aws:MultiFactorAuthAge";
    MultiFactorAuthPresent "aws:MultiFactorAuthPresent";
    PrincipalAccount "aws:PrincipalAccount";
    PrincipalArn "aws:PrincipalArn";
    PrincipalIsAwsService "aws:PrincipalIsAWSService";
    PrincipalServiceName "aws:PrincipalServiceName";
    PrincipalType "aws:PrincipalType";
    Referer "aws:Referer";
    RequestedRegion "aws:RequestedRegion";
    ResourceAccount "aws:ResourceAccount";
    SecureTransport "aws:SecureTransport";
    SourceAccount "aws:SourceAccount";
    SourceArn "aws:SourceArn";
    SourceIdentity "aws:SourceIdentity";
    SourceIp "aws:SourceIp";
    TagKeys "aws:TagKeys";
    TokenIssueTime "aws:TokenIssueTime";
    UserAgent "aws:UserAgent";
    UserId "aws:userid";
    UserName "aws:username";
    ViaAwsService "aws:ViaAWSService";
    StsExternalId "sts:ExternalId";
    StsRoleSessionName "sts:RoleSessionName";
    StsSourceIdentity "sts:SourceIdentity";
    StsTransitiveTagKeys "sts:TransitiveTagKeys";
    S3AuthType "s3:authType";
    S3ContentSha256 "s3:x-amz-content-sha256";
    S3CopySource "s3:x-amz-copy-source";
    S3Delimiter "s3:delimiter";
    S3GrantFullControl "s3:x-amz-grant-full-control";
    S3GrantRead "s3:x-amz-grant-read";
    S3GrantReadAcp "s3:x-amz-grant-read-acp";
    S3GrantWrite "s3:x-amz-grant-write";
    S3GrantWriteAcp "s3:x-amz-grant-write-acp";
    S3LocationConstraint "s3:LocationConstraint";
    S3MaxKeys "s3:max-keys";
    S3MetadataDirective "s3:x-amz-metadata-directive";
    S3ObjectLockLegalHold "s3:object-lock-legal-hold";
    S3ObjectLockMode "s3:object-lock-mode";
    S3ObjectLockRetainUntilDate "s3:object-lock-retain-until-date";
    S3Prefix "s3:prefix";
    S3RequestObjectTagKeys "s3:RequestObjectTagKeys";
    S3ResourceAccount "s3:ResourceAccount";
    S3ServerSideEncryption "s3:x-amz-server-side-encryption";
    S3ServerSideEncryptionKmsKeyId "s3:x-amz-server-side-encryption-aws-kms-key-id";
    S3SignatureAge "s3:signatureAge";
    S3SignatureVersion "s3:signatureversion";
    S3StorageClass "s3:x-amz-storage-class";
    S3TlsVersion "s3:TlsVersion";
    S3VersionId "s3:VersionId";
    S3WebsiteRedirectLocation "s3:x-amz-website-redirect-location";
    S3Acl "s3:x-amz-acl";
    ClientCertificate "sigward:ClientCertificate";
}

/// Condition keys that end in the key of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagFamily {
    /// `aws:PrincipalTag/…`: the tags of who asks.
    Principal,
    /// `aws:RequestTag/…`: the tags passed in the request.
    Request,
    /// `aws:ResourceTag/…`: the tags of what is asked for.
    Resource,
    /// `s3:RequestObjectTag/…`: the tags an object is to have.
    RequestObject,
    /// `s3:ExistingObjectTag/…`: the tags an object has.
    ExistingObject,
}

impl TagFamily {
    /// Every family, in the order of `family as usize`.
    pub const ALL: [Self; 5] =
        [Self::Principal, Self::Request, Self::Resource, Self::RequestObject, Self::ExistingObject];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Principal => "aws:PrincipalTag/",
            Self::Request => "aws:RequestTag/",
            Self::Resource => "aws:ResourceTag/",
            Self::RequestObject => "s3:RequestObjectTag/",
            Self::ExistingObject => "s3:ExistingObjectTag/",
        }
    }
}

/// A condition key as a compiled policy holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// One that has a slot.
    Name(Name),
    /// The value of a tag.
    Tag(TagFamily, Box<str>),
    /// Anything else: claims of an identity provider (`accounts.google.com:sub`, `saml:aud`), keys of other services.
    Other(Box<str>),
}

impl Key {
    /// `None` without a service prefix, or for a tag without a key.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(name) = Name::ALL.iter().find(|name| name.as_str().eq_ignore_ascii_case(text)) {
            return Some(Self::Name(*name));
        }
        for family in TagFamily::ALL {
            let prefix = family.prefix();
            match text.split_at_checked(prefix.len()) {
                Some((head, tag)) if head.eq_ignore_ascii_case(prefix) => {
                    return (!tag.is_empty()).then(|| Self::Tag(family, tag.into()));
                }
                Some(_) | None => {}
            }
        }
        let (prefix, name) = text.split_once(':')?;
        (!prefix.is_empty() && !name.is_empty()).then(|| Self::Other(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_own_index() {
        for (index, name) in Name::ALL.iter().enumerate() {
            assert_eq!(*name as usize, index);
            assert_eq!(Key::parse(&name.as_str().to_uppercase()), Some(Key::Name(*name)));
        }
        for (index, family) in TagFamily::ALL.iter().enumerate() {
            assert_eq!(*family as usize, index);
        }
    }

    #[test]
    fn keys_are_told_apart_without_regard_to_case() {
        let tag = Key::parse("AWS:principaltag/Cost Center").unwrap();
        assert_eq!(tag, Key::Tag(TagFamily::Principal, "Cost Center".into()));
        let claim = Key::parse("oidc.eks.eu-west-1.amazonaws.com/id/ABC:sub").unwrap();
        assert_eq!(claim, Key::Other("oidc.eks.eu-west-1.amazonaws.com/id/ABC:sub".into()));
    }

    #[test]
    fn a_key_needs_a_prefix_and_a_name() {
        for text in ["", "username", ":x", "aws:", "aws:PrincipalTag/", "aws:requesttag/"] {
            assert_eq!(Key::parse(text), None, "{text}");
        }
    }
}
