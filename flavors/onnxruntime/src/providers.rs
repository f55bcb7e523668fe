//! Execution providers: what `MLmodel` asks for, what the library has, and what is done about gaps.
//!
//! MLflow writes `[CUDAExecutionProvider, CPUExecutionProvider]` into every model unless told
//! otherwise, so that list says little about the model; a gap in it is a fact, not a warning. The
//! policy `Refuse` is the operator's word, and stronger: it counts every provider but the CPU's
//! that is written in `MLmodel`, the usual list too, because a GPU that silently is not used is
//! what it is for. A model that names no provider asks for none, and is never refused.

use mlrs_backend::{MissingProvider, Refusal};
use ort::ep::{
    self, ArbitrarilyConfigurableExecutionProvider, ExecutionProvider, ExecutionProviderDispatch,
};
use serde_json::{Map, Value};

use crate::options::scalar_text;

pub(crate) const CPU: &str = "CPUExecutionProvider";
const USUAL: [&str; 2] = ["CUDAExecutionProvider", CPU];

/// A provider with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provider {
    pub name: String,
    pub options: Vec<(String, String)>,
}

/// What a model asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requested {
    pub providers: Vec<Provider>,
    /// Whether `MLmodel` names them, or they are the default.
    pub written: bool,
}

/// What is used, and what was asked for but is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Without the CPU's, which is always there and always last.
    pub accelerators: Vec<Provider>,
    pub missing: Vec<String>,
    /// Whether somebody should hear of what is missing.
    pub notable: bool,
}

/// Reads `providers`: a name, a list of names and `[name, options]` pairs, or nothing.
pub(crate) fn read(configuration: &Map<String, Value>) -> Result<Requested, Refusal> {
    let list = match configuration.get("providers") {
        Some(Value::String(name)) => vec![Value::String(name.clone())],
        Some(Value::Array(list)) if !list.is_empty() => list.clone(),
        None | Some(Value::Null | Value::Array(_)) => {
            let providers = USUAL.iter().map(|name| Provider {
                name: (*name).to_owned(),
                options: Vec::new(),
            });
            return Ok(Requested {
                providers: providers.collect(),
                written: false,
            });
        }
        Some(_) => return Err(malformed()),
    };
    Ok(Requested {
        providers: list.iter().map(provider).collect::<Result<_, _>>()?,
        written: true,
    })
}

fn malformed() -> Refusal {
    Refusal::new("`providers` is not a list of names and of `[name, options]` pairs")
}

fn provider(entry: &Value) -> Result<Provider, Refusal> {
    let (name, options) = match entry {
        Value::String(name) => (name, None),
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(name)] => (name, None),
            [Value::String(name), Value::Object(options)] => (name, Some(options)),
            _ => return Err(malformed()),
        },
        _ => return Err(malformed()),
    };
    let options = options.into_iter().flatten().map(|(key, value)| {
        let text = scalar_text(value).filter(|text| !text.contains('\0') && !key.contains('\0'));
        Ok((key.clone(), text.ok_or_else(malformed)?))
    });
    Ok(Provider {
        name: name.clone(),
        options: options.collect::<Result<_, Refusal>>()?,
    })
}

/// Sorts what is asked for into what `available` has and what not, and applies the policy.
pub(crate) fn choose(
    requested: &Requested,
    policy: MissingProvider,
    available: impl Fn(&str) -> bool,
) -> Result<Chosen, Refusal> {
    let asked = requested
        .providers
        .iter()
        .filter(|provider| provider.name != CPU)
        .cloned();
    let (accelerators, missing): (Vec<_>, Vec<_>) =
        asked.partition(|provider| available(&provider.name));
    let missing: Vec<String> = missing.into_iter().map(|provider| provider.name).collect();
    if !missing.is_empty() && requested.written && policy == MissingProvider::Refuse {
        return Err(refusal(&missing));
    }
    let usual = requested
        .providers
        .iter()
        .map(|provider| provider.name.as_str())
        .eq(USUAL);
    let notable = !missing.is_empty() && requested.written && !usual;
    Ok(Chosen {
        accelerators,
        missing,
        notable,
    })
}

/// The refusal for providers that are not there.
pub(crate) fn refusal(missing: &[String]) -> Refusal {
    let names: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
    let hint = "use a library of ONNX Runtime that has them, or allow the CPU instead";
    Refusal::new(format!(
        "the model asks for {}, which is not there",
        names.join(", ")
    ))
    .with_hint(hint)
}

/// Whether the loaded library has the provider, and mlrs knows how to ask for it.
pub(crate) fn is_available(name: &str) -> bool {
    let known = match name {
        ep::CUDA::NAME => ep::CUDA::is_available(),
        ep::TensorRT::NAME => ep::TensorRT::is_available(),
        ep::OpenVINO::NAME => ep::OpenVINO::is_available(),
        ep::ROCm::NAME => ep::ROCm::is_available(),
        ep::CoreML::NAME => ep::CoreML::is_available(),
        _ => Ok(false),
    };
    known.unwrap_or(false)
}

/// The binding's form of a provider; `None` for one that [`is_available`] denies.
pub(crate) fn dispatch(provider: &Provider) -> Option<ExecutionProviderDispatch> {
    let options = &provider.options;
    let dispatch = match provider.name.as_str() {
        ep::CUDA::NAME => configured(ep::CUDA::default(), options).build(),
        ep::TensorRT::NAME => configured(ep::TensorRT::default(), options).build(),
        ep::OpenVINO::NAME => configured(ep::OpenVINO::default(), options).build(),
        ep::ROCm::NAME => configured(ep::ROCm::default(), options).build(),
        ep::CoreML::NAME => configured(ep::CoreML::default(), options).build(),
        _ => return None,
    };
    Some(dispatch.error_on_failure())
}

fn configured<P: ArbitrarilyConfigurableExecutionProvider>(
    provider: P,
    options: &[(String, String)],
) -> P {
    options.iter().fold(provider, |provider, (key, value)| {
        provider.with_arbitrary_config(key, value)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn requested(providers: Value) -> Result<Requested, String> {
        let mut configuration = Map::new();
        configuration.insert("providers".to_owned(), providers);
        read(&configuration).map_err(|refusal| refusal.reason)
    }

    fn names(requested: &Requested) -> Vec<&str> {
        requested
            .providers
            .iter()
            .map(|provider| provider.name.as_str())
            .collect()
    }

    fn cpu_only(name: &str) -> bool {
        name == CPU
    }

    #[test]
    fn reads_all_forms() {
        assert_eq!(names(&requested(json!("A")).unwrap()), ["A"]);
        let list = requested(json!(["A", ["B", {"device_id": 1, "on": true}], ["C"]])).unwrap();
        assert_eq!(names(&list), ["A", "B", "C"]);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            list.providers[1].options,
            [pair("device_id", "1"), pair("on", "1")]
        );
        for silent in [json!(null), json!([])] {
            let usual = requested(silent).unwrap();
            assert_eq!((names(&usual), usual.written), (USUAL.to_vec(), false));
        }
        for wrong in [
            json!(1),
            json!([1]),
            json!([["A", 2]]),
            json!([[]]),
            json!([["A", {"x": []}]]),
        ] {
            assert!(
                requested(wrong)
                    .unwrap_err()
                    .contains("`providers` is not a list")
            );
        }
    }

    #[test]
    fn the_usual_list_is_quiet_on_a_cpu() {
        let usual = requested(json!(USUAL)).unwrap();
        let chosen = choose(&usual, MissingProvider::UseCpu, cpu_only).unwrap();
        assert_eq!(chosen.missing, ["CUDAExecutionProvider"]);
        assert!(!chosen.notable && chosen.accelerators.is_empty());
        let deliberate = requested(json!([
            "TensorrtExecutionProvider",
            "CUDAExecutionProvider"
        ]))
        .unwrap();
        let chosen = choose(&deliberate, MissingProvider::UseCpu, |name| {
            name.starts_with("CUDA")
        })
        .unwrap();
        assert_eq!(chosen.missing, ["TensorrtExecutionProvider"]);
        assert!(chosen.notable);
        assert_eq!(chosen.accelerators[0].name, "CUDAExecutionProvider");
    }

    #[test]
    fn the_policy_refuses_what_is_written() {
        let usual = requested(json!(USUAL)).unwrap();
        let refused = choose(&usual, MissingProvider::Refuse, cpu_only).unwrap_err();
        assert_eq!(
            refused.reason,
            "the model asks for `CUDAExecutionProvider`, which is not there"
        );
        let silent = requested(json!(null)).unwrap();
        assert!(choose(&silent, MissingProvider::Refuse, cpu_only).is_ok());
        let cpu = requested(json!([CPU])).unwrap();
        assert!(choose(&cpu, MissingProvider::Refuse, cpu_only).is_ok());
    }

    #[test]
    fn knows_how_to_ask_for_what_it_says_it_can() {
        for name in [
            "CUDAExecutionProvider",
            "TensorrtExecutionProvider",
            "OpenVINOExecutionProvider",
        ] {
            let provider = Provider {
                name: name.to_owned(),
                options: vec![("key".to_owned(), "value".to_owned())],
            };
            assert_eq!(dispatch(&provider).unwrap().name(), name);
        }
        assert!(
            dispatch(&Provider {
                name: "Other".to_owned(),
                options: Vec::new()
            })
            .is_none()
        );
    }
}
