//! The operations of S3, each with its IAM action and whether it writes.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>,
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>

/// Rows: operation, `reads` or `writes`, the IAM action, and the IAM action on a named version where it differs.
macro_rules! actions {
    ($($name:ident $effect:ident $($iam:literal)*;)*) => {
        /// What a request asks S3 to do: an operation under the name AWS gives it.
        ///
        /// `Options` is a CORS preflight. `Unknown` is whatever is no operation, or could be taken for two.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $(#[doc = concat!("`", stringify!($name), "`")] $name,)*
        }

        impl Action {
            /// Every action, in the order of `action as usize`.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$name => Row {
                        name: stringify!($name),
                        writes: actions!(@$effect),
                        iam: &[$($iam),*],
                    },)*
                }
            }
        }
    };
    (@reads) => { false };
    (@writes) => { true };
}

struct Row {
    name: &'static str,
    writes: bool,
    iam: &'static [&'static str],
}

actions! {
    AbortMultipartUpload writes "s3:AbortMultipartUpload";
    CompleteMultipartUpload writes "s3:PutObject";
    CopyObject writes "s3:PutObject";
    CreateBucket writes "s3:CreateBucket";
    CreateBucketMetadataConfiguration writes "s3:CreateBucketMetadataTableConfiguration";
    CreateBucketMetadataTableConfiguration writes "s3:CreateBucketMetadataTableConfiguration";
    CreateMultipartUpload writes "s3:PutObject";
    CreateSession reads "s3express:CreateSession";
    DeleteBucket writes "s3:DeleteBucket";
    DeleteBucketAnalyticsConfiguration writes "s3:PutAnalyticsConfiguration";
    DeleteBucketCors writes "s3:PutBucketCORS";
    DeleteBucketEncryption writes "s3:PutEncryptionConfiguration";
    DeleteBucketIntelligentTieringConfiguration writes "s3:PutIntelligentTieringConfiguration";
    DeleteBucketInventoryConfiguration writes "s3:PutInventoryConfiguration";
    DeleteBucketLifecycle writes "s3:PutLifecycleConfiguration";
    DeleteBucketMetadataConfiguration writes "s3:DeleteBucketMetadataTableConfiguration";
    DeleteBucketMetadataTableConfiguration writes "s3:DeleteBucketMetadataTableConfiguration";
    DeleteBucketMetricsConfiguration writes "s3:PutMetricsConfiguration";
    DeleteBucketOwnershipControls writes "s3:PutBucketOwnershipControls";
    DeleteBucketPolicy writes "s3:DeleteBucketPolicy";
    DeleteBucketReplication writes "s3:PutReplicationConfiguration";
    DeleteBucketTagging writes "s3:PutBucketTagging";
    DeleteBucketWebsite writes "s3:DeleteBucketWebsite";
    DeleteObject writes "s3:DeleteObject" "s3:DeleteObjectVersion";
    DeleteObjects writes "s3:DeleteObject";
    DeleteObjectTagging writes "s3:DeleteObjectTagging" "s3:DeleteObjectVersionTagging";
    DeletePublicAccessBlock writes "s3:PutBucketPublicAccessBlock";
    GetBucketAbac reads "s3:GetBucketAbac";
    GetBucketAccelerateConfiguration reads "s3:GetAccelerateConfiguration";
    GetBucketAcl reads "s3:GetBucketAcl";
    GetBucketAnalyticsConfiguration reads "s3:GetAnalyticsConfiguration";
    GetBucketCors reads "s3:GetBucketCORS";
    GetBucketEncryption reads "s3:GetEncryptionConfiguration";
    GetBucketIntelligentTieringConfiguration reads "s3:GetIntelligentTieringConfiguration";
    GetBucketInventoryConfiguration reads "s3:GetInventoryConfiguration";
    GetBucketLifecycleConfiguration reads "s3:GetLifecycleConfiguration";
    GetBucketLocation reads "s3:GetBucketLocation";
    GetBucketLogging reads "s3:GetBucketLogging";
    GetBucketMetadataConfiguration reads "s3:GetBucketMetadataTableConfiguration";
    GetBucketMetadataTableConfiguration reads "s3:GetBucketMetadataTableConfiguration";
    GetBucketMetricsConfiguration reads "s3:GetMetricsConfiguration";
    GetBucketNotificationConfiguration reads "s3:GetBucketNotification";
    GetBucketOwnershipControls reads "s3:GetBucketOwnershipControls";
    GetBucketPolicy reads "s3:GetBucketPolicy";
    GetBucketPolicyStatus reads "s3:GetBucketPolicyStatus";
    GetBucketReplication reads "s3:GetReplicationConfiguration";
    GetBucketRequestPayment reads "s3:GetBucketRequestPayment";
    GetBucketTagging reads "s3:GetBucketTagging";
    GetBucketVersioning reads "s3:GetBucketVersioning";
    GetBucketWebsite reads "s3:GetBucketWebsite";
    GetObject reads "s3:GetObject" "s3:GetObjectVersion";
    GetObjectAcl reads "s3:GetObjectAcl" "s3:GetObjectVersionAcl";
    GetObjectAttributes reads "s3:GetObjectAttributes" "s3:GetObjectVersionAttributes";
    GetObjectLegalHold reads "s3:GetObjectLegalHold";
    GetObjectLockConfiguration reads "s3:GetBucketObjectLockConfiguration";
    GetObjectRetention reads "s3:GetObjectRetention";
    GetObjectTagging reads "s3:GetObjectTagging" "s3:GetObjectVersionTagging";
    GetObjectTorrent reads "s3:GetObjectTorrent" "s3:GetObjectVersionTorrent";
    GetPublicAccessBlock reads "s3:GetBucketPublicAccessBlock";
    HeadBucket reads "s3:ListBucket";
    HeadObject reads "s3:GetObject" "s3:GetObjectVersion";
    ListBucketAnalyticsConfigurations reads "s3:GetAnalyticsConfiguration";
    ListBucketIntelligentTieringConfigurations reads "s3:GetIntelligentTieringConfiguration";
    ListBucketInventoryConfigurations reads "s3:GetInventoryConfiguration";
    ListBucketMetricsConfigurations reads "s3:GetMetricsConfiguration";
    ListBuckets reads "s3:ListAllMyBuckets";
    ListMultipartUploads reads "s3:ListBucketMultipartUploads";
    ListObjects reads "s3:ListBucket";
    ListObjectsV2 reads "s3:ListBucket";
    ListObjectVersions reads "s3:ListBucketVersions";
    ListParts reads "s3:ListMultipartUploadParts";
    Options reads;
    PostObject writes "s3:PutObject";
    PutBucketAbac writes "s3:PutBucketAbac";
    PutBucketAccelerateConfiguration writes "s3:PutAccelerateConfiguration";
    PutBucketAcl writes "s3:PutBucketAcl";
    PutBucketAnalyticsConfiguration writes "s3:PutAnalyticsConfiguration";
    PutBucketCors writes "s3:PutBucketCORS";
    PutBucketEncryption writes "s3:PutEncryptionConfiguration";
    PutBucketIntelligentTieringConfiguration writes "s3:PutIntelligentTieringConfiguration";
    PutBucketInventoryConfiguration writes "s3:PutInventoryConfiguration";
    PutBucketLifecycleConfiguration writes "s3:PutLifecycleConfiguration";
    PutBucketLogging writes "s3:PutBucketLogging";
    PutBucketMetricsConfiguration writes "s3:PutMetricsConfiguration";
    PutBucketNotificationConfiguration writes "s3:PutBucketNotification";
    PutBucketOwnershipControls writes "s3:PutBucketOwnershipControls";
    PutBucketPolicy writes "s3:PutBucketPolicy";
    PutBucketReplication writes "s3:PutReplicationConfiguration";
    PutBucketRequestPayment writes "s3:PutBucketRequestPayment";
    PutBucketTagging writes "s3:PutBucketTagging";
    PutBucketVersioning writes "s3:PutBucketVersioning";
    PutBucketWebsite writes "s3:PutBucketWebsite";
    PutObject writes "s3:PutObject";
    PutObjectAcl writes "s3:PutObjectAcl" "s3:PutObjectVersionAcl";
    PutObjectLegalHold writes "s3:PutObjectLegalHold";
    PutObjectLockConfiguration writes "s3:PutBucketObjectLockConfiguration";
    PutObjectRetention writes "s3:PutObjectRetention";
    PutObjectTagging writes "s3:PutObjectTagging" "s3:PutObjectVersionTagging";
    PutPublicAccessBlock writes "s3:PutBucketPublicAccessBlock";
    RenameObject writes "s3express:CreateSession";
    RestoreObject writes "s3:RestoreObject";
    SelectObjectContent reads "s3:GetObject";
    Unknown writes;
    UpdateBucketMetadataInventoryTableConfiguration writes
        "s3:UpdateBucketMetadataInventoryTableConfiguration";
    UpdateBucketMetadataJournalTableConfiguration writes "s3:UpdateBucketMetadataJournalTableConfiguration";
    UpdateObjectEncryption writes "s3:UpdateObjectEncryption";
    UploadPart writes "s3:PutObject";
    UploadPartCopy writes "s3:PutObject";
}

impl Action {
    /// The name of the operation, for metrics and logs.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The IAM action that permits it, for example `s3:ListBucket` for `ListObjectsV2`. `None` for `Options` and
    /// `Unknown`, which no IAM action names.
    ///
    /// Some operations need further permissions, for example `CopyObject` one to read its source.
    pub fn iam_action(self) -> Option<&'static str> {
        self.row().iam.first().copied()
    }

    /// As [`iam_action`](Self::iam_action), for a request that names a `versionId`.
    pub fn iam_version_action(self) -> Option<&'static str> {
        self.row().iam.last().copied()
    }

    /// Whether it may change what is stored. `Unknown` may.
    pub const fn is_mutation(self) -> bool {
        self.row().writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_stand_at_their_own_index_under_a_name_of_their_own() {
        for (index, action) in Action::ALL.iter().enumerate() {
            assert_eq!(*action as usize, index);
            assert_eq!(action.name(), format!("{action:?}"));
        }
    }

    #[test]
    fn only_options_and_unknown_have_no_iam_action() {
        for action in Action::ALL {
            let nameless = matches!(action, Action::Options | Action::Unknown);
            assert_eq!(action.iam_action().is_none(), nameless, "{action:?}");
            assert!(action.iam_action().is_none_or(|iam| iam.starts_with("s3")), "{action:?}");
        }
    }

    #[test]
    fn iam_actions_are_those_of_the_service_authorization_reference() {
        for (action, iam, version) in [
            (Action::GetObject, "s3:GetObject", "s3:GetObjectVersion"),
            (Action::HeadObject, "s3:GetObject", "s3:GetObjectVersion"),
            (Action::DeleteObject, "s3:DeleteObject", "s3:DeleteObjectVersion"),
            (Action::HeadBucket, "s3:ListBucket", "s3:ListBucket"),
            (Action::ListBuckets, "s3:ListAllMyBuckets", "s3:ListAllMyBuckets"),
            (Action::UploadPart, "s3:PutObject", "s3:PutObject"),
            (Action::ListParts, "s3:ListMultipartUploadParts", "s3:ListMultipartUploadParts"),
            (Action::DeleteBucketCors, "s3:PutBucketCORS", "s3:PutBucketCORS"),
        ] {
            assert_eq!(action.iam_action(), Some(iam));
            assert_eq!(action.iam_version_action(), Some(version));
        }
    }

    #[test]
    fn an_operation_writes_unless_its_name_says_that_it_reads() {
        let reading = ["Get", "Head", "List", "Options", "Select", "CreateSession"];
        for action in Action::ALL {
            let reads = reading.iter().any(|prefix| action.name().starts_with(prefix));
            assert_eq!(action.is_mutation(), !reads, "{action:?}");
        }
    }
}
