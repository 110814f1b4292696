use super::*;

fn keyring() -> Keyring {
    Keyring::fixed("k1", [7; 32])
}

fn credential(id: &str) -> Credential {
    Credential {
        access_key_id: AccessKeyId::parse(id).unwrap(),
        secret: SecretAccessKey::new("canary"),
        principal: Principal {
            arn: "arn:aws:iam::123456789012:user/alice".into(),
            user_id: "AIDAALICE".into(),
            account: "123456789012".into(),
        },
        issued_at: UnixMillis(1_000),
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: Some(Session {
            name: Some("build".into()),
            role_arn: Some("arn:aws:iam::123456789012:role/reader".into()),
            parent_access_key_id: AccessKeyId::parse("AKIAPARENT"),
            tags: BTreeMap::from([("team".into(), "red".into())]),
            mfa_authenticated_at: Some(UnixMillis(1_000)),
            ..Session::new(SessionKind::AssumedRole, SessionTokenHash::from_bytes([1; 32]), UnixMillis(2_000))
        }),
    }
}

/// A session with everything a session can have.
fn chained() -> Credential {
    let mut credential = credential("ASIA1");
    let ancestor = |id: &str, role_arn: Option<&str>| Ancestor {
        access_key_id: AccessKeyId::parse(id).unwrap(),
        principal: credential.principal.clone(),
        role_arn: role_arn.map(str::to_owned),
        session_name: role_arn.map(|_| "first".into()),
        provider: role_arn.map(|_| "arn:p".into()),
        issued_at: UnixMillis(900),
    };
    let lineage = vec![ancestor("ASIA0", Some("arn:r")), ancestor("AKIA0", None)];
    let saml = SamlSubject { name_qualifier: "q".into(), subject_type: "persistent".into() };
    let session = credential.session.as_mut().unwrap();
    session.source_identity = Some("alice".into());
    session.transitive_tag_keys = ["team".to_owned()].into();
    session.session_policies = vec!["{}".into()];
    session.policy_arns = vec!["arn:policy".into()];
    session.mfa_authenticated_at = Some(UnixMillis(800));
    session.federation = Some(Federation {
        provider: "arn:p".into(),
        issuer: "i".into(),
        subject: "s".into(),
        audience: "a".into(),
        saml: Some(saml),
    });
    session.lineage = lineage;
    credential
}

fn long_term() -> Credential {
    Credential { session: None, status: KeyStatus::Inactive, ..credential("AKIA1") }
}

fn stored(credential: Credential) -> StoredCredential {
    StoredCredential { credential, seq: 7, source: "/test".into() }
}

fn header_of(kind: RowKind, row: &[u8]) -> String {
    String::from_utf8(Row::parse(kind, row).unwrap().header.to_vec()).unwrap()
}

fn event(data: EventData) -> LoggedEvent {
    let event = Event { source: "/test".into(), id: "1".into(), time: UnixMillis(5), data };
    LoggedEvent { event, recorded_at: UnixMillis(6) }
}

#[test]
fn credential_headers_of_version_one_are_these_bytes() {
    let row = write_credential(&stored(credential("ASIA1")), &keyring()).unwrap();
    assert_eq!(
        header_of(RowKind::Credential, &row),
        concat!(
            r#"{"seq":7,"source":"/test","credential":{"access_key_id":"ASIA1","#,
            r#""arn":"arn:aws:iam::123456789012:user/alice","user_id":"AIDAALICE","account":"123456789012","#,
            r#""issued_at":1000,"status":"Active","session":{"kind":"assumed_role","#,
            r#""token_sha256":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","expires_at":2000,"name":"build","#,
            r#""role_arn":"arn:aws:iam::123456789012:role/reader","parent":"AKIAPARENT","#,
            r#""tags":{"team":"red"},"mfa":true}}}"#,
        )
    );
    let row = write_credential(&stored(chained()), &keyring()).unwrap();
    assert_eq!(
        header_of(RowKind::Credential, &row),
        concat!(
            r#"{"seq":7,"source":"/test","credential":{"access_key_id":"ASIA1","#,
            r#""arn":"arn:aws:iam::123456789012:user/alice","user_id":"AIDAALICE","account":"123456789012","#,
            r#""issued_at":1000,"status":"Active","session":{"kind":"assumed_role","#,
            r#""token_sha256":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","expires_at":2000,"name":"build","#,
            r#""role_arn":"arn:aws:iam::123456789012:role/reader","parent":"AKIAPARENT","#,
            r#""tags":{"team":"red"},"mfa":true,"mfa_at":800,"source_identity":"alice","transitive":["team"],"#,
            r#""policies":["{}"],"policy_arns":["arn:policy"],"federation":{"provider":"arn:p","issuer":"i","#,
            r#""subject":"s","audience":"a","saml":{"name_qualifier":"q","subject_type":"persistent"}},"#,
            r#""lineage":[{"access_key_id":"ASIA0","arn":"arn:aws:iam::123456789012:user/alice","#,
            r#""user_id":"AIDAALICE","account":"123456789012","role_arn":"arn:r","name":"first","#,
            r#""provider":"arn:p","issued_at":900},{"access_key_id":"AKIA0","#,
            r#""arn":"arn:aws:iam::123456789012:user/alice","user_id":"AIDAALICE","account":"123456789012","#,
            r#""issued_at":900}]}}}"#,
        )
    );
    let row = write_credential(&stored(long_term()), &keyring()).unwrap();
    assert_eq!(
        header_of(RowKind::Credential, &row),
        concat!(
            r#"{"seq":7,"source":"/test","credential":{"access_key_id":"AKIA1","#,
            r#""arn":"arn:aws:iam::123456789012:user/alice","user_id":"AIDAALICE","account":"123456789012","#,
            r#""issued_at":1000,"status":"Inactive"}}"#,
        )
    );
}

#[test]
fn event_headers_of_version_one_are_these_bytes() {
    let id = AccessKeyId::parse("AKIA1").unwrap();
    let revoked = |scope| EventData::SessionRevoked {
        scope,
        cascade: false,
        issued_before: UnixMillis(9),
        reason: None,
    };
    let table = [
        (
            EventData::AccessKeyStatus { access_key_id: id.clone(), status: KeyStatus::Inactive },
            r#"{"access_key_status":{"access_key_id":"AKIA1","status":"Inactive"}}"#,
        ),
        (
            EventData::AccessKeyDeleted { access_key_id: id.clone() },
            r#"{"access_key_deleted":{"access_key_id":"AKIA1"}}"#,
        ),
        (
            revoked(RevocationScope::AccessKey(id.clone())),
            r#"{"session_revoked":{"scope":{"access_key_id":"AKIA1"},"issued_before":9}}"#,
        ),
        (
            revoked(RevocationScope::SessionId(id.clone())),
            r#"{"session_revoked":{"scope":{"session_id":"AKIA1"},"issued_before":9}}"#,
        ),
        (
            revoked(RevocationScope::IssuedTo(id)),
            r#"{"session_revoked":{"scope":{"issued_to":"AKIA1"},"issued_before":9}}"#,
        ),
        (
            revoked(RevocationScope::Principal("p".into())),
            r#"{"session_revoked":{"scope":{"principal":"p"},"issued_before":9}}"#,
        ),
        (
            revoked(RevocationScope::Role("r".into())),
            r#"{"session_revoked":{"scope":{"role":"r"},"issued_before":9}}"#,
        ),
        (
            revoked(RevocationScope::Account("a".into())),
            r#"{"session_revoked":{"scope":{"account":"a"},"issued_before":9}}"#,
        ),
        (
            revoked(RevocationScope::SessionName { role: "r".into(), name: "n".into() }),
            r#"{"session_revoked":{"scope":{"session":{"role":"r","name":"n"}},"issued_before":9}}"#,
        ),
        (
            revoked(RevocationScope::IdentityProvider("p".into())),
            r#"{"session_revoked":{"scope":{"identity_provider":"p"},"issued_before":9}}"#,
        ),
        (
            EventData::SessionRevoked {
                scope: RevocationScope::SourceIdentity("s".into()),
                cascade: true,
                issued_before: UnixMillis(9),
                reason: Some("leaked".into()),
            },
            r#"{"session_revoked":{"scope":{"source_identity":"s"},"cascade":true,"issued_before":9,"reason":"leaked"}}"#,
        ),
    ];
    for (data, expected) in table {
        let row = write_event(&event(data), &keyring()).unwrap();
        let expected = format!(r#"{{"source":"/test","id":"1","time":5,"recorded_at":6,"data":{expected}}}"#);
        assert_eq!(header_of(RowKind::Event, &row), expected);
        let read = read_event(&row, &keyring()).unwrap();
        assert_eq!(write_event(&read, &keyring()).unwrap(), row, "reading and writing again changes nothing");
    }
}

#[test]
fn what_is_written_is_read_back_whole() {
    for given in [credential("ASIA1"), chained(), long_term()] {
        let row = write_credential(&stored(given.clone()), &keyring()).unwrap();
        let read = read_credential(given.access_key_id.as_str(), &row, &keyring()).unwrap();
        assert_eq!((read.seq, read.source.as_str()), (7, "/test"));
        assert_eq!(read.credential.secret.expose_secret(), b"canary");
        assert_eq!(format!("{:?}", read.credential), format!("{given:?}"));
        assert_eq!(read.credential.session, given.session);
    }
    let logged = event(EventData::CredentialIssued(chained()));
    let row = write_event(&logged, &keyring()).unwrap();
    assert_eq!(format!("{:?}", read_event(&row, &keyring()).unwrap()), format!("{logged:?}"));
    assert_eq!(event_identity(&row).unwrap(), ("/test".to_owned(), "1".to_owned()));
}

#[test]
fn unknown_fields_are_ignored_and_still_authenticated() {
    let header = br#"{"seq":7,"source":"/test","new":1,"credential":{"access_key_id":"AKIA1","arn":"a",
        "user_id":"u","account":"1","issued_at":1,"status":"Active","also":"new"}}"#;
    let secret = SecretAccessKey::new("canary");
    let mut row =
        envelope::write((RowKind::Credential, Form::Json), header, Some(&secret), &keyring()).unwrap();
    assert_eq!(read_credential("AKIA1", &row, &keyring()).unwrap().seq, 7);
    let last = row.windows(3).rposition(|bytes| bytes == b"new").unwrap();
    row[last] = b'N';
    assert_eq!(read_credential("AKIA1", &row, &keyring()).unwrap_err(), RowError::Broken("k1".into()));
}

#[test]
fn a_ciphertext_cannot_be_moved_to_another_credential() {
    let mine = write_credential(&stored(credential("ASIA1")), &keyring()).unwrap();
    let theirs = write_credential(&stored(credential("ASIA2")), &keyring()).unwrap();
    let header = Row::parse(RowKind::Credential, &mine).unwrap().header.len();
    let spliced = [&mine[..mine.len() - header], &theirs[theirs.len() - header..]].concat();
    assert_eq!(read_credential("ASIA2", &spliced, &keyring()).unwrap_err(), RowError::Broken("k1".into()));
    // Nor can a whole row, which is intact but says whose it is.
    assert!(matches!(read_credential("ASIA2", &mine, &keyring()), Err(RowError::Malformed(_))));
    assert!(read_credential("ASIA1", &mine, &keyring()).is_ok());
}

#[test]
fn a_credential_without_a_seal_is_not_read() {
    let row = write_credential(&stored(credential("ASIA1")), &keyring()).unwrap();
    let header = Row::parse(RowKind::Credential, &row).unwrap().header;
    let unsealed = [b"\x01\x00", header].concat();
    assert!(matches!(read_credential("ASIA1", &unsealed, &keyring()), Err(RowError::Malformed(_))));
}

#[test]
fn an_event_of_an_unknown_kind_is_malformed_not_a_panic() {
    let header = br#"{"source":"/test","id":"1","time":5,"recorded_at":6,"data":{"role_put":{}}}"#;
    let row = envelope::write((RowKind::Event, Form::Json), header, None, &keyring()).unwrap();
    assert!(matches!(read_event(&row, &keyring()), Err(RowError::Malformed(_))));
    assert!(event_identity(&row).is_ok(), "enough of it is understood to drop it in time");
}

/// An issuance as programs wrote it that had no other form than JSON.
fn json_issuance(credential: Credential) -> Vec<u8> {
    let secret = credential.secret.clone();
    let LoggedEvent { event: Event { source, id, time, data }, recorded_at } =
        event(EventData::CredentialIssued(credential));
    let row = json(&EventRow { source, id, time, recorded_at, data: DataRow::of(&data) }).unwrap();
    envelope::write((RowKind::Event, Form::Json), &row, Some(&secret), &keyring()).unwrap()
}

#[test]
fn issuances_are_read_in_either_form() {
    for given in [credential("ASIA1"), chained()] {
        let expected = format!("{:?}", event(EventData::CredentialIssued(given.clone())));
        let compact = write_event(&event(EventData::CredentialIssued(given.clone())), &keyring()).unwrap();
        for row in [compact, json_issuance(given.clone())] {
            assert_eq!(format!("{:?}", read_event(&row, &keyring()).unwrap()), expected);
            let issuance = read_issuance(&row).unwrap().unwrap();
            assert_eq!((issuance.credential.session, issuance.sealed_by), (given.session.clone(), "k1"));
            assert_eq!(issuance.identity, event_identity(&row).unwrap());
            assert!(issues_session(&row) && access_key_sealed_at(&row).is_none());
        }
    }
}

#[test]
fn the_compact_header_of_an_issuance_is_these_bytes() {
    let row = write_event(&event(EventData::CredentialIssued(credential("ASIA1"))), &keyring()).unwrap();
    let parsed = Row::parse(RowKind::Event, &row).unwrap();
    let text = |text: &str| [&[u8::try_from(text.len() * 2).unwrap()], text.as_bytes()].concat();
    let expected = [
        // AssumeRole, at 1000, for 1000.
        vec![2, 0xe8, 0x07, 0xe8, 0x07],
        text("/test"),
        text("1"),
        vec![5, 6],
        text("ASIA1"),
        text("arn:aws:iam::123456789012:user/alice"),
        text("AIDAALICE"),
        text("123456789012"),
        vec![1; 32],
        [vec![1], text("build")].concat(),
        [vec![1], text("arn:aws:iam::123456789012:role/reader")].concat(),
        [vec![1], text("AKIAPARENT")].concat(),
        // No source identity; a second factor at 1000; one tag, not transitive.
        vec![0, 1, 0xe8, 0x07, 1],
        text("team"),
        text("red"),
        // Not transitive; neither policies nor ARNs, nobody who vouched, no ancestor.
        vec![0, 0, 0, 0, 0],
    ]
    .concat();
    assert_eq!((parsed.form, parsed.header), (Form::Compact, expected.as_slice()));
    assert_eq!(issued_until(&row), Some(UnixMillis(2_000)));
}

#[test]
fn what_stands_behind_a_compact_header_is_passed_over_and_nothing_may_be_missing_from_it() {
    let secret = SecretAccessKey::new("canary");
    let row = write_event(&event(EventData::CredentialIssued(chained())), &keyring()).unwrap();
    let header = Row::parse(RowKind::Event, &row).unwrap().header.to_vec();
    let seal = |header: &[u8]| {
        envelope::write((RowKind::Event, Form::Compact), header, Some(&secret), &keyring()).unwrap()
    };
    assert!(read_event(&seal(&[&header[..], b"new"].concat()), &keyring()).is_ok());
    for length in 0..header.len() {
        let cut = seal(&header[..length]);
        assert!(matches!(read_event(&cut, &keyring()), Err(RowError::Malformed(_))), "{length}");
    }
    let unsealed = [b"\x02\x00", &header[..]].concat();
    assert!(matches!(read_event(&unsealed, &keyring()), Err(RowError::Malformed(_))));
}
