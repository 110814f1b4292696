//! The managed policies of AWS that are attached most often, by their ARNs.
//!
//! Source: <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/about-managed-policy-reference.html>

/// ARN and document.
pub(super) const MANAGED: [(&str, &str); 5] = [
    ("arn:aws:iam::aws:policy/AdministratorAccess", ADMINISTRATOR_ACCESS),
    ("arn:aws:iam::aws:policy/AmazonS3FullAccess", S3_FULL_ACCESS),
    ("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess", S3_READ_ONLY_ACCESS),
    ("arn:aws:iam::aws:policy/AWSDenyAll", DENY_ALL),
    ("arn:aws:iam::aws:policy/ReadOnlyAccess", READ_ONLY_ACCESS),
];

const ADMINISTRATOR_ACCESS: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

const S3_FULL_ACCESS: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}]}"#;

const S3_READ_ONLY_ACCESS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[
    "s3:Get*","s3:List*","s3:Describe*","s3-object-lambda:Get*","s3-object-lambda:List*"],"Resource":"*"}]}"#;

const DENY_ALL: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"DenyAll","Effect":"Deny","Action":["*"],"Resource":"*"}]}"#;

/// Of AWS's own the part about services that are here.
const READ_ONLY_ACCESS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[
    "s3:Get*","s3:List*","s3:Describe*","sts:GetAccessKeyInfo","sts:GetCallerIdentity","sts:GetSessionToken"],
    "Resource":"*"}]}"#;
