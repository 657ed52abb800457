// Keys made for these tests and used nowhere else, in PEM, and their public halves as JWK.

enum TestKeys {
    static let ec = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgkG8TsgVSJyPJ7n4e
        8g9JrvISntgc/nSm3z/++Y7oiwGhRANCAASgmmua2r/162QLdx0rmPvWGUQXaBr1
        FfTn7gO9R9T9rLfJwnFyaFdW3Gn3ZhMiwFHZEQT8e43raFc7w1fx7lMx
        -----END PRIVATE KEY-----
        """
    static let ecJWK =
        #""kty":"EC","crv":"P-256","x":"oJprmtq_9etkC3cdK5j71hlEF2ga9RX05-4DvUfU_aw","y":"t8nCcXJoV1bcafdmEyLAUdkRBPx7jetoVzvDV_HuUzE""#

    static let other = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQga0oVUhBdO0IQJ5nv
        CtsdgbVeNyLD6+m/nnvAt10WFZqhRANCAARFfK3Eu13/zQC/lrNZ1/FK3pBu7PQn
        kTniE1I+80SbYyuUT3faecSTAHp/WZ683My8HY0gOfsEjSeH6sthe18Z
        -----END PRIVATE KEY-----
        """
    static let otherJWK =
        #""kty":"EC","crv":"P-256","x":"RXytxLtd_80Av5azWdfxSt6Qbuz0J5E54hNSPvNEm2M","y":"K5RPd9p5xJMAen9ZnrzczLwdjSA5-wSNJ4fqy2F7Xxk""#

    static let ec384 = """
        -----BEGIN PRIVATE KEY-----
        MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBoFqi/BEMsfDNIPfW9
        LfSmcDsDDjx03oruZucT2/f9W1U65SZbx9PzcnsQrs1UhEqhZANiAAQfo4+copAp
        JTpCb+t7SpjpccU8vQIRF5PjOzMmI0UKjNr3V4566kskdtkUn6mvuNO/XoosNYvO
        m0auvGviz0KKRBlTANGSFNZEa7w/UBkClQfx4FRRN+Xq9RcBHvhBl6A=
        -----END PRIVATE KEY-----
        """
    static let ec384JWK =
        #""kty":"EC","crv":"P-384","x":"H6OPnKKQKSU6Qm_re0qY6XHFPL0CEReT4zszJiNFCoza91eOeupLJHbZFJ-pr7jT","y":"v16KLDWLzptGrrxr4s9CikQZUwDRkhTWRGu8P1AZApUH8eBUUTfl6vUXAR74QZeg""#

    static let ed = """
        -----BEGIN PRIVATE KEY-----
        MC4CAQAwBQYDK2VwBCIEIM5N3j6YXB6z+0YeIKPwsuzgFHCMmn7X0pu2GO/kgz4c
        -----END PRIVATE KEY-----
        """
    static let edJWK =
        #""kty":"OKP","crv":"Ed25519","x":"5P4t0_GJF03z2o1efgxspoLIGfNcEyJedUnc6UC5Uq0""#

    static let rsa = """
        -----BEGIN PRIVATE KEY-----
        MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDXORWt70hKL6bP
        /XX1AkVj1EuVX8FtAxWsWoXe2Oo0HOIRA3rSYsYIDJnENapj7JDDF8FjQ3q2LlD0
        TMvd0sQN710K8oVXkZCuB9x9JdHe8cwe4+7nyioN1QSNFo5BEcxYbbejORzvEIIJ
        MtQhGALJ8TWtULthL+pm090bvBW+YIXTsDo2yx53ahBhoGe9swaaGCfXOAnwbZK7
        edzCHhtqur2jOCzGKeGLaQANVbJSs2DyFUsNr75AUD9OtXZ8DF9sHtdMfRcHL6CG
        xcl/YgfmEuzHqccD5iB7tTe2jd6rBo6hJLXQcZKbCSRbx16cBTB7ozg1CASyyIIB
        Y2JvBydVAgMBAAECggEAZcn6TmKKgoep8dmytZeG4PGRc8qvbRLV58eCZAScM9xr
        MNe/+Yu8lCb9fHZTKWJDjvmHvZ43Bb2/DOPbUYSys9J+40QTO3i9gAl4xvmhmjsq
        qntrzNVo8VTLi7zct7qmtjXh8cD7xbc9gQM4n5Q/EWpS1C8ICC2Ew3A1NT5N3FTl
        GrLQIC2YRQo7BJJANi+bLcHVkWzK5QmRy7ftjMj1Pag8NiB/IX79nsYAZMyZB8rP
        aQbGklqPoDV6ktrSnqNFvbK3xbL9Ye7elNKynffo2+FDDd1DLaoycbqyrFtX7qAx
        nLY0u5PTUmun5yUPETGF36ssCM9jSagk79ayTXf6OwKBgQDzNSC6oUVWK3IwNTUH
        bZXTBPMFDEBJ5Tk+6aDsxNsVWKaiXG/H6OVCN9TJzoQfyZI0eaK+p1e0R5fKByx8
        5DzWMHfhXNNYhzdCqAWyAEheInypObCalFIdtO05XTyle8E/hw2hiD6UlZN0X45t
        tnUZyHT3YieLQdwXqCuH7fdTbwKBgQDiiyKr8MXy9XgQJzjeVVPBSsMUSZVb6wn7
        ykSHVqsT7LF0cdQO3nK4ceGVUtOnt6rvwgxgXD3hzOd/FaVVV2OqvbgrSq2QOU9i
        22x3nL8knj/+Bu15VqT8oubdBKfS0MJKUyBBd1N4/+4poziOIWAtFtYpkNg9NLfZ
        O79+hxJ/ewKBgHc5IR08N6BBVg3Z13AXwW2brIJZ+h3/d6umndPTwM5bEfzfsZBf
        VBu9ANwZF935U2nUAvrRUAY5XmiUUbO7szMQuYPJnHV2e5l6gqg6yT8USuYuOKve
        b87ORchsM3GwFBDPZNg90OfH12wh99FCs277PJOVE2uJ0pnqP8S33BmTAoGBAKc0
        kFOds0yelo49lMCs89N/jbqEkQO117mK0ceeVUiwc02B0kVjNAMksp4W8vcgHb82
        VxIsItRs+xQWcuApTvuvaaYySSZg1lIdp9Ik1AN/9bVVgaMEK2P4DDNnA0MbJ7vZ
        3L3VB7wQEcWTneNxiN3etBUbvi52oZdpfO4zXZjPAoGBAMM6evbC66DnrIjxw33r
        JK5ScyG9j2JQYZaK7s1+Ty73Rz10kEwYZBzDDEUPxtlDByftG3TJu71CHl3maIIX
        q7GZdrQbYyWWC2/es0jyvn7FT1srKhzIHHsQOOaRdn0MiO1/8nHlx6wPrFz0rJB0
        8QmghY0fkAFWNDK72Vpyj/aL
        -----END PRIVATE KEY-----
        """
    static let rsaPublic = """
        -----BEGIN PUBLIC KEY-----
        MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1zkVre9ISi+mz/119QJF
        Y9RLlV/BbQMVrFqF3tjqNBziEQN60mLGCAyZxDWqY+yQwxfBY0N6ti5Q9EzL3dLE
        De9dCvKFV5GQrgfcfSXR3vHMHuPu58oqDdUEjRaOQRHMWG23ozkc7xCCCTLUIRgC
        yfE1rVC7YS/qZtPdG7wVvmCF07A6Nssed2oQYaBnvbMGmhgn1zgJ8G2Su3ncwh4b
        arq9ozgsxinhi2kADVWyUrNg8hVLDa++QFA/TrV2fAxfbB7XTH0XBy+ghsXJf2IH
        5hLsx6nHA+Yge7U3to3eqwaOoSS10HGSmwkkW8denAUwe6M4NQgEssiCAWNibwcn
        VQIDAQAB
        -----END PUBLIC KEY-----
        """
    static let rsaModulus =
        "1zkVre9ISi-mz_119QJFY9RLlV_BbQMVrFqF3tjqNBziEQN60mLGCAyZxDWqY-yQwxfBY0N6ti5Q9EzL3dLEDe9d"
        + "CvKFV5GQrgfcfSXR3vHMHuPu58oqDdUEjRaOQRHMWG23ozkc7xCCCTLUIRgCyfE1rVC7YS_qZtPdG7wVvmCF07A6"
        + "Nssed2oQYaBnvbMGmhgn1zgJ8G2Su3ncwh4barq9ozgsxinhi2kADVWyUrNg8hVLDa--QFA_TrV2fAxfbB7XTH0X"
        + "By-ghsXJf2IH5hLsx6nHA-Yge7U3to3eqwaOoSS10HGSmwkkW8denAUwe6M4NQgEssiCAWNibwcnVQ"
    static let rsaJWK = #""kty":"RSA","e":"AQAB","n":""# + rsaModulus + "\""

    static let smallModulus =
        "0InSbX_va2G8q4ZvXKZcuivzBChZEaoj64xLO1n4UclrwUlIERUkR0gC0aTdggcHsCiKjkm1ovISwRrw-ttAqqAe"
        + "3bpmRdjDxYkBNqUsvrvphcmbSuPq8Z3V0_RTZw7WiH0IFGziQy6q9XHROj41iJdsrC5wrJvFdkdfiWisAuk"
    static let smallJWK = #""kty":"RSA","e":"AQAB","n":""# + smallModulus + "\""
}
