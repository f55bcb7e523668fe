use super::*;

fn spelled(text: &str) -> String {
    Requirement::parse(text).unwrap().to_string()
}

/// What `str(packaging.requirements.Requirement(text))` of packaging 26.3 gives.
#[test]
fn texts_are_those_of_packaging() {
    for (text, expected) in [
        ("numpy", "numpy"),
        (" numpy == 1.0 ", "numpy==1.0"),
        ("mlflow >= 2.8, != 2.9.0", "mlflow!=2.9.0,>=2.8"),
        ("a>1,<2,>=1.5", "a<2,>1,>=1.5"),
        ("a (>=1)", "a>=1"),
        ("a[y, x]~=1.2", "a[x,y]~=1.2"),
        ("a[]", "a"),
        ("a===anything-at_all", "a===anything-at_all"),
        ("torch==2.0+cpu", "torch==2.0+cpu"),
        ("a==1.*", "a==1.*"),
        ("a==1.0rc1.post2.dev3", "a==1.0rc1.post2.dev3"),
        ("a>=1!2.0-1", "a>=1!2.0-1"),
        ("a @ https://h/x.whl", "a @ https://h/x.whl"),
        (
            "a@https://h/x.whl ; os.name=='nt'",
            "a @ https://h/x.whl ; os_name == \"nt\"",
        ),
        ("a;python_version<'3'", "a; python_version < \"3\""),
        (
            "a; (python_version<'3' or os_name in 'nt') and extra == 'X_y'",
            "a; (python_version < \"3\" or os_name in \"nt\") and extra == \"x-y\"",
        ),
        (
            "a; ((python_implementation not  in 'x'))",
            "a; platform_python_implementation not in \"x\"",
        ),
        ("Zope.Interface_", "Zope.Interface_"),
    ] {
        assert_eq!(spelled(text), expected, "{text}");
    }
}

#[test]
fn what_is_none_is_refused_where_it_goes_wrong() {
    for (text, at) in [
        ("", 1),
        ("-r x", 1),
        ("==1.0", 1),
        ("a b", 3),
        ("numpy = 1", 7),
        ("a==", 4),
        ("a==x", 4),
        ("a~=1", 5),
        ("a>=1.*", 7),
        ("a>=1+cpu", 6),
        ("a[x", 4),
        ("a[x y]", 5),
        ("a @", 4),
        ("a;", 3),
        ("a; x == 'y'", 4),
        ("a; os_name", 11),
        ("a; os_name == 'x", 17),
        ("a; os_name == 'x' b", 19),
        ("a; os_name == 'x\"'", 19),
        ("ü", 1),
    ] {
        let refused = Requirement::parse(text).unwrap_err();
        assert_eq!(refused.at, at, "{text}: {refused}");
    }
    let deep = format!("a; {}os_name == 'x'{}", "(".repeat(500), ")".repeat(500));
    assert!(Requirement::parse(&deep).is_err());
    assert!(Requirement::parse(&"é".repeat(LONGEST)).is_err());
}

const CONDA: &str = "name: e\nchannels:\n- conda-forge\ndependencies:\n- python=3.11.7\n- pip\n- pip:\n  - mlflow==3.17.2\n  - numpy==2.4.6\n";
const TEXT: &str = "mlflow==3.17.2\n# kept\n-c constraints.txt\nnumpy==2.4.6 # why\n";

fn changed(operation: Operation, given: &[&str]) -> Result<Updated, UpdateError> {
    let given: Vec<String> = given.iter().map(|&text| text.to_owned()).collect();
    update(TEXT, CONDA, operation, &given)
}

#[test]
fn requirements_are_added_and_replaced() {
    let updated = changed(Operation::Add, &["Pandas>=2", "numpy", "pandas <3"]).unwrap();
    assert_eq!(updated.before, ["mlflow==3.17.2", "numpy==2.4.6"]);
    assert_eq!(updated.after, ["mlflow==3.17.2", "numpy", "pandas<3,>=2"]);
    assert_eq!(
        updated.requirements,
        "mlflow==3.17.2\n# kept\n-c constraints.txt\nnumpy\npandas<3,>=2"
    );
    assert_eq!(
        updated.conda,
        "channels:\n- conda-forge\ndependencies:\n- python=3.11.7\n- pip\n- pip:\n  - mlflow==3.17.2\n  - numpy\n  - \
         'pandas<3,>=2'\nname: e\n"
    );
}

#[test]
fn requirements_are_removed() {
    let updated = changed(Operation::Remove, &["NUMPY>5", "torch"]).unwrap();
    assert_eq!(updated.after, ["mlflow==3.17.2"]);
    assert_eq!(updated.absent, ["torch"]);
    assert!(!updated.requirements.contains("numpy"));
}

#[test]
fn what_cannot_be_is_refused() {
    assert!(matches!(
        changed(Operation::Add, &["numpy = 1"]),
        Err(UpdateError::Given(_))
    ));
    assert!(matches!(
        changed(Operation::Add, &["a==1", "a==2"]),
        Err(UpdateError::Contradiction { .. })
    ));
    let given = ["a".to_owned()];
    let broken = |text: &str, conda: &str| update(text, conda, Operation::Add, &given).unwrap_err();
    assert!(matches!(broken("a b", CONDA), UpdateError::Line { .. }));
    assert!(matches!(broken(TEXT, "- a"), UpdateError::Conda(_)));
    assert!(matches!(
        broken(TEXT, "dependencies: 3"),
        UpdateError::NotAnEnvironment(_)
    ));
    assert!(matches!(
        broken(TEXT, "dependencies:\n- pip: 3"),
        UpdateError::NotAnEnvironment(_)
    ));
}

#[test]
fn a_conda_file_without_pip_gets_it() {
    let given = ["a".to_owned()];
    let updated = update("", "dependencies:\n- python", Operation::Add, &given).unwrap();
    assert_eq!(updated.conda, "dependencies:\n- python\n- pip:\n  - a\n");
    let updated = update("", "name: x", Operation::Add, &given).unwrap();
    assert_eq!(updated.conda, "dependencies:\n- pip:\n  - a\nname: x\n");
}
