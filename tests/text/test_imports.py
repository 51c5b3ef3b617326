import subprocess
import sys

HEAVY = ("spacy", "nltk", "tokenizers", "torch", "sklearn", "datasets")


def test_importing_and_using_light_tokenizers_imports_nothing_heavy() -> None:
    script = (
        "import sys, seqnlp.text as text; "
        "text.TokenPipeline(tokenizer=text.parse_tokenizer('regex', {})).fit(['a b']); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists() -> None:
    import seqnlp.text

    assert all(hasattr(seqnlp.text, name) for name in seqnlp.text.__all__)
    assert len(set(seqnlp.text.__all__)) == len(seqnlp.text.__all__)
